//! stub
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) async fn run(_: Args) -> anyhow::Result<()> {
    Ok(())
}
