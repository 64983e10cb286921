//! A name server that answers every question as the test says.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet};

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// There is no such name.
    NxDomain,
    /// The server itself failed.
    ServFail,
    /// This address, after so long.
    Address(Ipv4Addr, Duration),
}

/// The name server; ends when dropped.
pub struct NameServer {
    answer: Arc<Mutex<Answer>>,
    questions: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    /// On port 53 of this address, which has to be one of the loopback's: resolvers know no other port.
    pub async fn start(address: Ipv4Addr, answer: Answer) -> Self {
        let socket = UdpSocket::bind((address, 53)).await.expect("port 53");
        let socket = Arc::new(socket);
        let answer = Arc::new(Mutex::new(answer));
        let questions = Arc::new(Mutex::new(0));
        let mut tasks = JoinSet::new();
        let (said, asked) = (Arc::clone(&answer), Arc::clone(&questions));
        tasks.spawn(async move {
            let mut answering = JoinSet::new();
            let mut question = [0; 512];
            while let Ok((octets, from)) = socket.recv_from(&mut question).await {
                let question = question[..octets].to_vec();
                let (socket, answer) = (Arc::clone(&socket), *said.lock().expect("lock"));
                *asked.lock().expect("lock") += 1;
                answering.spawn(async move {
                    if let Answer::Address(_, after) = answer {
                        tokio::time::sleep(after).await;
                    }
                    if let Some(reply) = reply(&question, answer) {
                        let _ = socket.send_to(&reply, from).await;
                    }
                });
            }
        });
        Self {
            answer,
            questions,
            _tasks: tasks,
        }
    }

    /// From now on this.
    pub fn says(&self, answer: Answer) {
        *self.answer.lock().expect("lock") = answer;
    }

    /// Questions so far; a lookup asks for addresses of both kinds.
    pub fn questions(&self) -> usize {
        *self.questions.lock().expect("lock")
    }
}

/// RFC 1035 §4.1: the question again, and behind it the answer where there is one.
fn reply(question: &[u8], answer: Answer) -> Option<Vec<u8>> {
    let end = 12 + question.get(12..)?.iter().position(|octet| *octet == 0)? + 5;
    let asked = question.get(..end)?;
    let kind = u16::from_be_bytes([asked[end - 4], asked[end - 3]]);
    let (code, address) = match answer {
        Answer::NxDomain => (3, None),
        Answer::ServFail => (2, None),
        // There are no addresses of the other kind.
        Answer::Address(address, _) => (0, (kind == 1).then_some(address)),
    };
    let mut reply = asked.to_vec();
    reply[2] = 0x81;
    reply[3] = 0x80 | code;
    reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        // The name is the question's; type A, class IN, good for one second.
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend_from_slice(&address.octets());
    }
    Some(reply)
}
