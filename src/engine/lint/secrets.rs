//! Secrets that somebody wrote into a script: named, and never shown.

/// Blanking shorter ones would blank the line and not the secret.
const SHORTEST: usize = 4;

/// The password inside an address such as `postgres://user:password@host/db`.
pub(super) fn password_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ' ', '\n', '"', '\'']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    let blank = password.is_empty() || password.chars().all(|c| c == '*' || c == 'x');
    (!blank).then_some(password)
}

/// Is a value of this name a secret?
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase().replace(['-', '.'], "_");
    const WHOLE: &[&str] = &["pwd", "pgpassword", "authorization", "apikey", "token", "secret"];
    const PARTS: &[&str] =
        &["password", "passwd", "_secret", "secret_", "_token", "api_key", "access_key"];
    WHOLE.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// A line with the secrets blanked, as long as it was: columns stay where they are.
pub(super) fn masked(line: &str, secrets: &[String]) -> String {
    let mut line = line.to_string();
    for secret in secrets.iter().filter(|secret| secret.chars().count() >= SHORTEST) {
        if line.contains(secret.as_str()) {
            line = line.replace(secret.as_str(), &"*".repeat(secret.chars().count()));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_seen() {
        assert_eq!(password_in("postgres://me:s3cret@db/shop"), Some("s3cret"));
        assert_eq!(password_in("see postgres://me:p@ss@db/shop there"), Some("p@ss"));
        for harmless in
            ["postgres://me@db/shop", "http://db:5432/x", "postgres://me:***@db", "a:b@c"]
        {
            assert_eq!(password_in(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn names_of_secrets_are_known() {
        for name in ["password", "DB_PASSWORD", "token", "api-key", "client_secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["tokens_table", "secretary", "passage", "key", "sql"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_masked_line_keeps_its_columns() {
        assert_eq!(masked("a \"pässword\" b", &["pässword".into()]), "a \"********\" b");
    }
}
