//! `Expect: 100-continue`, as curl and many proxies send it: the node asks for the body, reads it, and
//! answers once. Whom it refuses it does not ask for the body.

use crate::support::{nodes, scenario};
use anyhow::ensure;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn a_publisher_that_expects_100_continue_gets_it_before_it_sends_the_body() {
    scenario(nodes(1), |cluster| {
        let map = cluster.map("expect")?;
        let body = r#"{"type":"x","payload":{}}"#;
        for (version, asked) in [("1.1", true), ("1.0", false), ("1.1", true)] {
            let mut stream = TcpStream::connect(cluster.nodes[0].http)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let head = format!(
                "POST {} HTTP/{version}\r\nhost: a.example\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\
                 content-type: application/json\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
                map.events(),
                map.token,
                body.len(),
            );
            stream.write_all(head.as_bytes())?;
            if asked {
                let mut interim = [0; INTERIM.len()];
                stream.read_exact(&mut interim)?;
                ensure!(interim == INTERIM.as_bytes(), "{}", String::from_utf8_lossy(&interim));
            }
            stream.write_all(body.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            ensure!(
                answer.starts_with(&format!("HTTP/{version} 201 ")) && answer.matches("HTTP/1").count() == 1,
                "{answer}"
            );
        }
        let path = format!("{}?since=2000-01-01T00:00:00Z", map.events());
        let events = cluster.api(0, &map).get(&path)?.expect(200)?.json()?;
        ensure!(events["data"].as_array().is_some_and(|events| events.len() == 3), "{events}");
        Ok(())
    });
}

#[test]
fn a_sender_who_is_refused_is_not_asked_for_the_body() {
    scenario(nodes(1), |cluster| {
        let (map, other) = (cluster.map("refused")?, cluster.map("refused-other")?);
        let right = format!("authorization: Bearer {}\r\n", map.token);
        let json = "content-type: application/json\r\n";
        for (path, headers, length, status) in [
            (map.events(), json.to_owned(), "100", 401),
            (map.events(), format!("authorization: Bearer wrong\r\n{json}"), "100", 401),
            (other.events(), format!("{right}{json}"), "100", 404),
            (map.events(), format!("{right}{json}"), "1000000000", 413),
            (map.events(), format!("{right}{json}content-encoding: gzip\r\n"), "100", 415),
            ("/api/nowhere".to_owned(), format!("{right}{json}"), "100", 404),
        ] {
            let mut stream = TcpStream::connect(cluster.nodes[0].http)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: a.example\r\n{headers}content-length: {length}\r\n\
                 expect: 100-continue\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            // The node ends the connection: it can't know whether the body follows.
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
            ensure!(answer.matches("HTTP/1").count() == 1, "{answer}");
            ensure!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
        }
        Ok(())
    });
}
