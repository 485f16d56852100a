// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix agent hawkbit` reaches its server with its token, which is said nowhere. What it talks about is held
//! by `tests/ddi` and by gooseBit.

use crate::house::House;
use crate::update_server::Page;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

const PLACE: &str = "/DEFAULT/controller/v1/dev-7";
const TOKEN: &str = "/data/config/hawkbit/token";

#[test]
fn a_device_asks_its_hawkbit_with_its_token_and_says_it_nowhere() {
    let house = House::original();
    let settings = json!({
        "mode": "hawkbit",
        "hawkbit": {
            "url": house.server.url, "target_id": "dev-7", "target_token_file": TOKEN,
            "ca_file": "/data/config/hawkbit/ca.pem",
        },
    });
    house.board.write("/data/config/os-upgrade.json", settings.to_string());
    house.board.write("/data/config/hawkbit/ca.pem", &house.server.ca_pem);
    house.board.write(TOKEN, "geheim\n");
    let rights = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(house.board.path(TOKEN), rights(0o640)).unwrap();
    let talk = |more: &str| house.board.run(&["agent", "hawkbit", more]);
    let exposed = talk("--once");
    assert_eq!(exposed.code, 2, "{}", exposed.stderr);
    assert!(exposed.stderr.contains("mode 0640"), "{}", exposed.stderr);
    assert!(exposed.stderr.contains("hint: chown it to root"), "{}", exposed.stderr);
    assert!(house.server.asked().is_empty());

    std::fs::set_permissions(house.board.path(TOKEN), rights(0o600)).unwrap();
    let rest = json!({ "config": { "polling": { "sleep": "00:05:00" } } });
    house.server.put(PLACE, Page::new(200, rest.to_string()));
    house.server.put(&format!("{PLACE}/configData"), Page::new(200, ""));
    let before = house.everything();
    let dry = talk("--dry-run");
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert!(dry.stdout.contains("nothing for this device"), "{}", dry.stdout);
    assert!(house.everything() == before, "a dry run changes nothing");
    let asked = talk("--once");
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert!(asked.stdout.contains("asked again in"), "{}", asked.stdout);
    let requests = house.server.asked();
    assert!(requests.iter().all(|asked| asked.path.starts_with(PLACE)), "{requests:?}");
    assert!(requests.iter().all(|asked| asked.headers["authorization"] == "TargetToken geheim"));

    house.server.put(PLACE, Page::new(401, "who?"));
    let refused = talk("--once");
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    let said = [dry, asked, refused].map(|ran| ran.stdout + &ran.stderr).concat();
    assert!(!said.contains("geheim"), "{said}");
}
