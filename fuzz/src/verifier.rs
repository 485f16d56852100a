// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verifier's settings, and the list of required units.

use crate::text::lossy;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use storage::ByteLen;
use verifier::{
    ActiveState, CommandEnd, HealthConfig, Level, ProbeError, System, UnitStatus, run_round,
};

/// Health settings: what is accepted would judge something, and in time.
pub fn health_config(data: &[u8]) {
    match HealthConfig::parse(&lossy(data)) {
        Ok(config) => {
            assert!(config.probes.len() <= 64);
            assert!(config.probes.iter().any(|probe| probe.level == Level::Required));
            let total = config.timing.settle.checked_add(config.timing.window);
            assert!(total.is_some_and(|total| total <= Duration::from_secs(14 * 60)));
            let _ = run_round(&config.probes, &mut OneFile::holding(data));
        }
        Err(refused) => assert!(!refused.problems.is_empty()),
    }
}

/// The list of required units: a round over it fails or asks about each unit.
pub fn required_units(data: &[u8]) {
    const CONFIG: &str = "[[probe]]\nname = \"units\"\nkind = \"required-units\"\n\
                          path = \"/etc/units.json\"\n";
    let config = HealthConfig::parse(CONFIG).expect("the settings are right");
    let round = run_round(&config.probes, &mut OneFile::holding(data));
    assert_eq!(round.results.len(), 1);
}

/// The file that names the gateway's address, as JSON and as TOML: it names one address at most,
/// and none where it is empty.
pub fn gateway_address(data: &[u8]) {
    for format in ["json", "toml"] {
        let text = format!(
            "[[probe]]\nname = \"lan\"\nkind = \"gateway\"\ninterface = \"eth1\"\n\
             path = \"/data/lan.{format}\"\nkey = \"lan.gateway\"\n"
        );
        let config = HealthConfig::parse(&text).expect("the settings are right");
        let accepted = [[192, 0, 2, 1], [172, 20, 30, 1]].map(|address| {
            run_round(&config.probes, &mut OneFile { content: data, address }).passes()
        });
        assert_ne!(accepted, [true, true], "one file names two addresses");
        assert!(!data.is_empty() || accepted == [false, false], "nothing names an address");
    }
}

/// A system on which every file has one content, every interface one address, and everything else
/// is in order.
struct OneFile<'a> {
    content: &'a [u8],
    address: [u8; 4],
}

impl<'a> OneFile<'a> {
    fn holding(content: &'a [u8]) -> Self {
        Self { content, address: [192, 0, 2, 1] }
    }
}

impl System for OneFile<'_> {
    fn unit(&mut self, unit: &str) -> Result<UnitStatus, ProbeError> {
        assert!(!unit.is_empty() && unit.len() <= 255 + ".service".len() && !unit.contains('/'));
        Ok(UnitStatus {
            exists: true,
            active: ActiveState::Active,
            was_started: true,
            sub: "running".to_owned(),
            restarts: 0,
        })
    }

    fn addresses(&mut self, _: &str) -> Result<Option<Vec<IpAddr>>, ProbeError> {
        Ok(Some(vec![IpAddr::from(self.address)]))
    }

    fn read_file(&mut self, _: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, ProbeError> {
        Ok((self.content.len() as u64 <= limit.get()).then(|| self.content.to_vec()))
    }

    fn run(&mut self, _: &[String], _: Duration) -> Result<CommandEnd, ProbeError> {
        Ok(CommandEnd::Exited { code: 0, stderr: String::new() })
    }

    fn connect(&mut self, _: SocketAddr, _: Duration) -> Result<(), ProbeError> {
        Ok(())
    }
}
