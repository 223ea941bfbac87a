//! Questions to the catalog (temporary).
use super::{DbError, Session};
/// Which server and database this is.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// System identifier.
    pub system_identifier: String,
    /// Standby?
    pub standby: bool,
}
/// Asks.
///
/// # Errors
/// The server's answer.
pub async fn identity(session: &Session) -> Result<Identity, DbError> {
    let rows = session.query("SELECT current_database()::text, current_user::text", &[]).await?;
    let _ = rows;
    Ok(Identity::default())
}
