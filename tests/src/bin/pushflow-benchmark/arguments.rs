//! What is to be measured: `--only WORKLOAD,...`, `--peers PART_OF_A_NAME,...`, `--quick`, `--repeat K`.

use std::error::Error;

/// How often each workload is measured.
const REPEAT: usize = 5;

pub(crate) struct Arguments {
    only: Vec<String>,
    peers: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) repeat: usize,
}

impl Arguments {
    pub(crate) fn of_process() -> Result<Arguments, Box<dyn Error>> {
        let mut arguments = Arguments { only: Vec::new(), peers: Vec::new(), quick: false, repeat: REPEAT };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
            let list = |text: String| text.split(',').map(str::to_owned).collect();
            match name.as_str() {
                "--quick" => arguments.quick = true,
                "--only" => arguments.only = list(value()?),
                "--peers" => arguments.peers = list(value()?),
                "--repeat" => arguments.repeat = value()?.parse::<usize>()?.max(1),
                other => return Err(format!("there is no option {other:?}").into()),
            }
        }
        Ok(arguments)
    }

    pub(crate) fn wants(&self, workload: &str, peer: &str) -> bool {
        let is_wanted = self.only.is_empty() || self.only.iter().any(|only| only == workload);
        is_wanted && (self.peers.is_empty() || self.peers.iter().any(|part| peer.contains(part.as_str())))
    }

    /// The size of a workload.
    pub(crate) fn size(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
