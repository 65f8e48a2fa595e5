//! nchan: a module of nginx that keeps messages in the memory that its workers share.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use super::{
    installed::Nchan,
    process::{Held, Process, listens},
};

/// Starts nginx with two workers.
///
/// # Errors
/// It does not listen in time.
pub(super) async fn start(nchan: &Nchan, home: &Path) -> Result<(Process, SocketAddr)> {
    let dir = home.join("nchan");
    fs::create_dir_all(&dir)?;
    let held = Held::take(1)?;
    let addr = held.addresses()?[0];
    let file = dir.join("nginx.conf");
    fs::write(&file, config(nchan, &dir, addr))?;
    let mut command = Command::new(&nchan.nginx);
    command.arg("-p").arg(&dir).arg("-c").arg(&file);
    drop(held);
    let process = Process::start(&mut command, dir.join("log"))?;
    listens(&process, addr).await?;
    Ok((process, addr))
}

fn config(nchan: &Nchan, dir: &Path, addr: SocketAddr) -> String {
    let (module, dir) = (nchan.module.display(), dir.display());
    format!(
        r"load_module {module};
daemon off;
worker_processes 2;
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_body_buffer_size 64k;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  nchan_shared_memory_size 256m;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  server {{
    listen {addr} backlog=4096;
    location ~ ^/pub/(\S+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 100;
      nchan_message_timeout 60s;
    }}
    location ~ ^/sub/(\S+)$ {{
      nchan_subscriber;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"
    )
}
