//! Thousands of simulated clusters a minute, each from a seed, judged.

mod clients;
mod faults;
mod history;
mod hosts;
mod ledger;
mod plan;
mod run;

use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (from, n) = (args.first().copied().unwrap_or(1), args.get(1).copied().unwrap_or(1));
    let name = std::env::var("BROKEN").unwrap_or_default();
    let broken = simulated::sim::Broken::ALL.into_iter().find(|b| b.name() == name);
    if n == 1 {
        tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
        println!("{:#?}", plan::Plan::new(from));
    }
    let begin = Instant::now();
    let (mut faults, mut rebuilt, mut counts, mut bad) = (0, 0, [0; 3], 0);
    for seed in from..from + n {
        let at = Instant::now();
        let v = run::run(seed, broken)?;
        faults += v.faults;
        rebuilt += v.rebuilt;
        for (a, b) in counts.iter_mut().zip(v.counts) { *a += b; }
        if !v.violations.is_empty() { bad += 1; }
        if n == 1 || !v.violations.is_empty() || v.rebuilt > 0 { println!("seed {seed}: {v:?} {:?}", at.elapsed()); }
    }
    println!("{n} seeds, {bad} bad, {faults} faults, rebuilt {rebuilt}, {counts:?}, {:?} a seed", begin.elapsed() / n as u32);
    Ok(())
}
