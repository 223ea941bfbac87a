//! Shipped playbooks, rehearsed on the data that they are shown with.

use crate::faults::fingerprint;
use crate::playbooks::iamvet::Clinic;

/// P8: up and down again is the same, for the shipped playbook.
#[test]
fn p8_the_shipped_playbook_is_proven_on_the_demos_data() {
    let clinic = Clinic::new();
    clinic.database("vet", 500);
    let before = fingerprint(&clinic.cluster, "vet");
    let ran = clinic.call("vet", &["rehearse", "iamvet"]);
    ran.exits(0).stdout_shows("검증됨: undo 단계로 되돌리면 처음과 똑같습니다");
    ran.stdout_shows("public.users에 SHARE ROW EXCLUSIVE 잠금");
    assert_eq!(fingerprint(&clinic.cluster, "vet"), before);
    assert!(!clinic.project.path().join("backups").exists());
    clinic.call("vet", &["plan", "iamvet"]).shows("리허설");
}
