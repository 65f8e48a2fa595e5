//! The process in which the attacks run. In a real network the attackers have machines of their own; here they
//! share the processors with the nodes. So once all attacks are in full strength, their process gets only what the
//! nodes and the healthy tenant leave of the processors: what is measured is what the nodes do for the attackers.

use super::{ATTACKS, Course, Least, Target};
use crate::environment::tool;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::wait;

/// The lowest priority.
const NICE: i32 = 19;
/// How long the attacks may take to get into full strength. Then the measurement begins all the same.
const BEGINS: Duration = Duration::from_secs(30);
/// How long they may take to end.
const ENDS: Duration = Duration::from_secs(60);

/// How many times each attack got through, by its name: in all, and in full strength.
type Counts = BTreeMap<String, (u64, u64)>;

/// Attacks under way. They end when this is dropped.
#[derive(Debug)]
pub struct Hostile {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Hostile {
    /// Starts all attacks, and waits until they are in full strength.
    pub fn begin(target: &Target) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("attack").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut attacks = Self { child, output };
        let input = attacks.child.stdin.as_mut().context("no input")?;
        writeln!(input, "{}", serde_json::to_string(target)?)?;
        attacks.output.read_line(&mut String::new())?;
        give_way(&attacks.child)?;
        Ok(attacks)
    }

    /// Ends all attacks. Returns how many times each got through, or an error if one could not begin, or hardly
    /// took place.
    pub fn end(mut self) -> Result<Vec<(&'static str, u64)>> {
        drop(self.child.stdin.take());
        let status = wait::until_for(ENDS, "the end of the attacks", || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "the attacks could not be carried out: {status}");
        let mut counts = String::new();
        self.output.read_to_string(&mut counts)?;
        enough(&serde_json::from_str(&counts)?)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives a process, with all threads that it has and will have, the lowest priority. Where that is not allowed its
/// attacks are only stronger.
fn give_way(child: &Child) -> Result<()> {
    let id = child.id().to_string();
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))?.flatten() {
        let thread = thread.file_name().to_str().and_then(|thread| thread.parse().ok());
        if let Some(thread) = thread.and_then(Pid::from_raw) {
            let _ = rustix::process::setpriority_process(Some(thread), NICE);
        }
    }
    if tool::is_there("chrt") {
        // A thread of this class yields to all others at once. Without it the nodes may wait for milliseconds.
        let _ = tool::run("chrt", &["--idle", "--all-tasks", "--pid", "0", &id]);
    }
    Ok(())
}

/// How many times each attack got through, in the order of the attacks, if each took place.
fn enough(counts: &Counts) -> Result<Vec<(&'static str, u64)>> {
    let mut enough = Vec::new();
    let mut few = Vec::new();
    for attack in &ATTACKS {
        let (all, strong) = counts.get(attack.name).copied().unwrap_or_default();
        let (times, least) = match attack.least {
            Least::Holds(least) => (all, least),
            Least::Does(least) => (strong, least),
        };
        if times < least {
            few.push(format!("{}: {times} of {least}", attack.name));
        }
        enough.push((attack.name, times));
    }
    ensure!(few.is_empty(), "the machine had no time for some attacks: {}", few.join(", "));
    Ok(enough)
}

/// Attacks the target that the first line of the standard input names, until the input ends. It ends, too, when
/// the process ends that started this one. Prints a line once all attacks are in full strength, and in the end how
/// many times each got through.
pub fn attack() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let counts = attack_until_input_ends(&serde_json::from_str(&line)?)?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}

fn attack_until_input_ends(target: &Target) -> Result<Counts> {
    let all = Course::default();
    let courses = ATTACKS.map(|_| all.of_another());
    let times = || courses.each_ref().map(Course::times);
    let mut threads = Vec::new();
    for (attack, course) in ATTACKS.iter().zip(&courses) {
        let (run, target, course) = (attack.run, target.clone(), course.clone());
        let thread = std::thread::Builder::new().name(attack.name.to_owned());
        threads.push((attack.name, thread.spawn(move || run(&target, &course))?));
    }
    let began = Instant::now();
    while began.elapsed() < BEGINS && !courses.iter().all(Course::is_strong) {
        all.pause();
    }
    let before = times();
    println!();
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    let counts = ATTACKS.iter().zip(times().into_iter().zip(before));
    let counts = counts.map(|(attack, (all, before))| (attack.name.to_owned(), (all, all - before)));
    all.end();
    // The others end with the process: at the lowest priority that may take long.
    for (name, thread) in threads.into_iter().filter(|(_, thread)| thread.is_finished()) {
        thread.join().map_err(|_| anyhow!("the attack `{name}` panicked"))?.context(name)?;
    }
    Ok(counts.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn attacks_for_which_there_was_no_time_are_no_attacks() {
        let least = |least| match least {
            Least::Holds(least) => (least, 0),
            Least::Does(least) => (least, least),
        };
        let mut counts: Counts =
            ATTACKS.iter().map(|attack| (attack.name.to_owned(), least(attack.least))).collect();
        assert_eq!(enough(&counts).unwrap().len(), ATTACKS.len());
        // Before full strength there may have been more.
        counts.insert("large batches".to_owned(), (500, 19));
        assert!(enough(&counts).unwrap_err().to_string().contains("large batches: 19 of 20"));
        counts.remove("large batches");
        assert!(enough(&counts).is_err());
    }
}
