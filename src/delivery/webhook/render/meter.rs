//! What a run of a template costs, in bytes worked on, and where its body stands.
//!
//! Fuel counts instructions, not what they work on. So the instructions of a template are changed before they run: whatever
//! reads or joins whole values charges them first, as the filters do, and all that is written goes through one place. Never
//! says what may stand in a template: that is [`super::sandbox`]'s.

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, context};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Longest body that a template makes, in bytes.
pub(super) const MAX_OUTPUT: usize = 256 * 1024;
/// Bytes that one run may read and write.
const MAX_WORK: usize = 16 * 1024 * 1024;
/// What each value costs beside the bytes of its text.
pub(super) const VALUE: usize = 16;

/// Under these names a run knows its [`Run`] and charges what operators work on. No template can say them.
pub(super) const RUN: &str = " run";
const CHARGE: &str = "~charge";
const SLICE: &str = "~slice";
/// Not kept for the rest of the run.
const NOT_CACHED: u8 = u8::MAX;

/// One run of a template.
#[derive(Debug, Default)]
pub(super) struct Run {
    worked: AtomicUsize,
    written: AtomicUsize,
    /// What has been written so far ends within a JSON string.
    in_string: AtomicBool,
    /// The next byte belongs to an escape.
    escaped: AtomicBool,
}

impl Object for Run {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Run {
    /// The run that `state` is of.
    pub(super) fn of(state: &State<'_, '_>) -> Result<Arc<Self>, Error> {
        let run = state.lookup(RUN).and_then(|run| run.downcast_object::<Self>());
        run.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no run of a template"))
    }

    /// Charges bytes that are worked on.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), Error> {
        let worked = self.worked.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if worked > MAX_WORK { Err(Error::new(ErrorKind::InvalidOperation, "it works on too much")) } else { Ok(()) }
    }

    /// Charges a value with all that is in it.
    pub(super) fn weigh(&self, value: &Value) -> Result<(), Error> {
        self.charge(VALUE + value.as_str().map_or(0, str::len))?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|item| self.weigh(&item)),
            ValueKind::Map => value.try_iter()?.try_for_each(|key| {
                self.weigh(&key)?;
                self.weigh(&value.get_item(&key)?)
            }),
            _ => Ok(()),
        }
    }

    /// Takes note of what is written next.
    pub(super) fn write(&self, text: &str) -> Result<(), Error> {
        if self.written.fetch_add(text.len(), Relaxed) + text.len() > MAX_OUTPUT {
            return Err(Error::new(ErrorKind::WriteFailure, "the body is too long"));
        }
        let (mut quoted, mut escaped) = (self.in_string(), self.escaped.load(Relaxed));
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
        }
        self.in_string.store(quoted, Relaxed);
        self.escaped.store(escaped, Relaxed);
        Ok(())
    }

    pub(super) fn in_string(&self) -> bool {
        self.in_string.load(Relaxed)
    }

    /// Which limit the run has met.
    pub(super) fn excess(&self) -> Option<&'static str> {
        if self.written.load(Relaxed) > MAX_OUTPUT {
            return Some("the body exceeds 256 KiB");
        }
        (self.worked.load(Relaxed) > MAX_WORK).then_some("the template works on more than 16 MiB of text and values")
    }
}

/// Text of the template itself, written as it is.
#[derive(Debug)]
pub(super) struct Raw(pub(super) String);

impl Object for Raw {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Adds what [`metered`] instructions need.
pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter(CHARGE, charged);
    environment.add_filter(SLICE, slice);
}

fn charged(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    Run::of(state)?.weigh(&value)?;
    Ok(value)
}

fn slice(state: &State<'_, '_>, value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    Run::of(state)?.weigh(&value)?;
    let same = Environment::empty();
    same.compile_expression("value[start:stop:step]")?.eval(context! { value, start, stop, step })
}

/// The same instructions, with what they cost.
pub(super) fn metered<'a>(plain: &Instructions<'a>) -> Instructions<'a> {
    let mut metered = Instructions::new(plain.name(), plain.source());
    // Where each instruction has come to stand: jumps go by that.
    let (mut moved, mut end) = (Vec::new(), 0);
    for at in 0.. {
        moved.push(end);
        let Some(instruction) = plain.get(at) else { break };
        let line = plain.get_line(at).and_then(|line| u16::try_from(line).ok()).unwrap_or_default();
        for step in steps(instruction) {
            end = metered.add_with_line(step, line) + 1;
        }
    }
    for at in 0..end {
        if let Some(
            Instruction::Iterate(to)
            | Instruction::Jump(to)
            | Instruction::JumpIfFalse(to)
            | Instruction::JumpIfFalseOrPop(to)
            | Instruction::JumpIfTrueOrPop(to),
        ) = metered.get_mut(at)
        {
            *to = moved.get(*to as usize).copied().unwrap_or(end);
        }
    }
    metered
}

/// What an instruction becomes.
fn steps<'a>(instruction: &Instruction<'a>) -> Vec<Instruction<'a>> {
    let charge = Instruction::ApplyFilter(CHARGE, Some(1), NOT_CACHED);
    match instruction {
        Instruction::EmitRaw(raw) => {
            vec![Instruction::LoadConst(Value::from_object(Raw((*raw).to_owned()))), Instruction::Emit]
        }
        Instruction::Slice => vec![Instruction::ApplyFilter(SLICE, Some(4), NOT_CACHED)],
        Instruction::GetItem => vec![charge, Instruction::GetItem],
        Instruction::StringConcat
        | Instruction::Add
        | Instruction::In
        | Instruction::Eq
        | Instruction::Ne
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::CompareAndPreserve(_) => {
            vec![charge.clone(), Instruction::Swap, charge, Instruction::Swap, instruction.clone()]
        }
        other => vec![other.clone()],
    }
}
