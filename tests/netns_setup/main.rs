//! Set-up against the running kernel, in namespaces of its own. Needs root, `nft` and `ip`.

mod lab;
mod packets;

use lab::{Folder, config, in_namespace, picture};
use srv6pipes::setup::{CaptureWay, Setup, clean, plan};

#[test]
fn what_apply_does_revert_undoes() {
    in_namespace(|| {
        let folder = Folder::new();
        let before = picture();
        for way in [CaptureWay::SavedSyn, CaptureWay::Nfqueue] {
            let plan = plan(&config(), way);
            println!("{plan}");
            let setup = Setup::apply(plan, &folder.journal()).unwrap_or_else(|e| panic!("{e}"));
            let during = picture();
            println!("{during}");
            for made in [
                "table ip6 srv6pipes",
                "local fd00:99::/80 dev nfv0",
                "1300:\tfrom all",
            ] {
                assert!(during.contains(made), "{made}");
            }
            println!("{}", std::fs::read_to_string(folder.journal()).unwrap());
            let errors = setup.revert();
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(picture(), before);
            assert!(folder.is_empty());
        }
    });
}

#[test]
fn cleaning_where_nothing_is_left_does_nothing() {
    let folder = Folder::new();
    assert_eq!(clean(&folder.journal()).unwrap(), 0);
    assert!(folder.is_empty());
}
