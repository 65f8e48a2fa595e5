//! Makes backups.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::{
    BackupError, BackupKey, END, EndV2, FILE, FileV1, HEAD, HeadV1, MAGIC, PAIRS, VERSION, checksum,
};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::store::{self, Store, View};
use crate::time::ClusterClock;
use crate::wire;

/// Longest that the receiver of a backup may leave a block waiting, because the view behind it keeps space in
/// the store from being reused.
const STALL: Duration = Duration::from_secs(60);

/// Makes backups of a running node.
pub(crate) struct Backups {
    engine: Arc<Engine>,
    store: Arc<Store>,
    clock: Arc<ClusterClock>,
    /// One backup at a time, because each holds a view of the store.
    turn: Arc<Semaphore>,
}

impl Backups {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>, clock: Arc<ClusterClock>) -> Self {
        Self { engine, store, clock, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Begins a backup of the state applied here. Its bytes are sent over the channel; if it fails, the last
    /// item is an error. The key proves the backup's origin.
    pub(crate) fn begin(
        &self,
        files: Vec<(String, Vec<u8>)>,
        key: Option<BackupKey>,
    ) -> Result<mpsc::Receiver<Result<Bytes, StoreError>>, BackupError> {
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| BackupError::Busy)?;
        let view = View::of(&self.store)?;
        let cluster_id = self.engine.peers().me().cluster_id;
        let taken_ms = self.clock.now().time_ms;
        let (sender, blocks) = mpsc::channel(2);
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let send = |bytes: Result<Bytes, StoreError>| {
                handle.block_on(timeout(STALL, sender.send(bytes))).is_ok_and(|sent| sent.is_ok())
            };
            let mut writer =
                Writer { sha: Sha256::new(), blocks: 0, take: &mut |bytes: Vec<u8>| send(Ok(bytes.into())) };
            if let Err(error) = write(&mut writer, &view, (cluster_id, taken_ms), files, key) {
                // The receiver gets the reason, unless it has gone.
                let _ = send(Err(error));
            }
        });
        Ok(blocks)
    }
}

/// Encodes blocks and sends them.
pub(super) struct Writer<'a> {
    pub(super) sha: Sha256,
    pub(super) blocks: u64,
    pub(super) take: &'a mut dyn FnMut(Vec<u8>) -> bool,
}

impl Writer<'_> {
    pub(super) fn raw(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.sha.update(&bytes);
        if (self.take)(bytes) {
            Ok(())
        } else {
            Err(StoreError::Io("the receiver of the backup has gone".to_owned()))
        }
    }

    pub(super) fn block(&mut self, kind: u8, content: &impl Serialize) -> Result<(), StoreError> {
        let content = wire::encode(content).map_err(|e| StoreError::Io(e.to_string()))?;
        let mut block = vec![kind];
        block.extend_from_slice(&(content.len() as u32).to_le_bytes());
        let crc = checksum(&block, &content);
        block.extend_from_slice(&crc.to_le_bytes());
        block.extend_from_slice(&content);
        self.blocks += 1;
        self.raw(block)
    }
}

fn write(
    writer: &mut Writer<'_>,
    view: &View,
    (cluster_id, taken_ms): ([u8; 16], u64),
    files: Vec<(String, Vec<u8>)>,
    key: Option<BackupKey>,
) -> Result<(), StoreError> {
    let state = view.state();
    let applied = state.applied.ok_or_else(|| StoreError::Io("nothing is applied yet".to_owned()))?;
    let head = HeadV1 {
        cluster_id,
        applied,
        stamp: state.stamp,
        id_ms: state.id_ms,
        last_node_id: state.last_node_id,
        taken_ms,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    writer.raw([&MAGIC[..], &VERSION.to_le_bytes()].concat())?;
    writer.block(HEAD, &head)?;
    let mut pairs = 0;
    let mut result = Ok(());
    store::export(view, &mut |chunk| {
        pairs += chunk.len() as u64;
        result = writer.block(PAIRS, &chunk);
        result.is_ok()
    })?;
    result?;
    for (name, content) in files {
        writer.block(FILE, &FileV1 { name, content: content.into() })?;
    }
    end(writer, pairs, key)
}

/// Writes the end of a backup with so many pairs.
pub(super) fn end(writer: &mut Writer<'_>, pairs: u64, key: Option<BackupKey>) -> Result<(), StoreError> {
    let proof = key.map(|key| key.proof(&writer.sha.clone().finalize()).as_ref().to_vec().into());
    writer.block(END, &EndV2 { blocks: writer.blocks, pairs, proof })?;
    let sha = writer.sha.clone().finalize().to_vec();
    writer.raw(sha)
}
