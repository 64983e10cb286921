//! A name server that says of one name what the test wants, on port 53 of a loopback address of its own.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet};

/// What is said of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// RCODE 3.
    NoSuchName,
    /// RCODE 2.
    ServerFailure,
    /// This address, after this time.
    Address(Ipv4Addr, Duration),
}

/// The server. Ends when dropped.
pub struct NameServer {
    /// Where it listens.
    pub address: Ipv4Addr,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<Says>>>,
    _task: JoinSet<()>,
}

const A: u8 = 1;

/// An address of this machine that no other test uses.
pub fn loopback() -> Ipv4Addr {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    Ipv4Addr::new(127, 1 + a % 254, b, 1 + c % 254)
}

impl NameServer {
    /// For `name`; nobody else has one. Port 53 is only root's, as are the namespaces of these tests.
    pub async fn start(name: &str, says: Says) -> Self {
        let address = loopback();
        let known: Vec<u8> = name
            .split('.')
            .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
            .collect();
        let socket = Arc::new(UdpSocket::bind((address, 53)).await.expect("port 53"));
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::default());
        let (script, ledger): (_, Arc<Mutex<Vec<_>>>) = (Arc::clone(&says), Arc::clone(&asked));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut answers = JoinSet::new();
            let mut buffer = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
                let says = *script.lock().expect("lock");
                let Some((answer, is_a)) = answer(&buffer[..n], &known, says) else {
                    continue;
                };
                if is_a {
                    ledger.lock().expect("lock").push(says);
                }
                let socket = Arc::clone(&socket);
                answers.spawn(async move {
                    if let Says::Address(_, delay) = says {
                        // The delay is the fault.
                        tokio::time::sleep(delay).await;
                    }
                    let _ = socket.send_to(&answer, from).await;
                });
            }
        });
        Self {
            address,
            says,
            asked,
            _task: task,
        }
    }

    /// From now on something else.
    pub fn say(&self, says: Says) {
        *self.says.lock().expect("lock") = says;
    }

    /// How often somebody asked for the name's address while this was said.
    pub fn asked(&self, while_said: Says) -> usize {
        let asked = self.asked.lock().expect("lock");
        asked.iter().filter(|says| **says == while_said).count()
    }
}

/// The answer to one question (RFC 1035 §4), and whether it asked for the name's IPv4 address.
fn answer(query: &[u8], known: &[u8], says: Says) -> Option<(Vec<u8>, bool)> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += 1 + usize::from(query[end]);
    }
    let question = query.get(12..end + 5)?;
    // What the resolver appends of its own accord is known to nobody.
    let is_known = query[12..end].eq_ignore_ascii_case(known);
    let says = if is_known { says } else { Says::NoSuchName };
    let is_a = is_known && question.ends_with(&[0, A, 0, 1]);
    let address = match says {
        Says::Address(address, _) if is_a => Some(address),
        _ => None,
    };
    let code = match says {
        Says::NoSuchName => 3,
        Says::ServerFailure => 2,
        Says::Address(..) => 0,
    };
    let mut answer = query[..2].to_vec();
    // A response, recursion desired and available; one question, perhaps one answer.
    answer.extend_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some())]);
    answer.extend_from_slice(&[0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if let Some(address) = address {
        // The name of the question, A, IN, a lifetime of nothing.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some((answer, is_a))
}
