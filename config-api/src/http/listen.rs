// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the service listen, and how much may a stranger's connection cost? A device without
//! a configuration listens everywhere, since nobody knows yet where it will be; one with a
//! configuration on its LAN address alone, at every start and after every change, whatever the
//! firewall says.

use super::helper_client::HelperError;
use super::{App, router};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::chain;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Connections at once.
const MAX_CONNECTIONS: usize = 320;
/// Of one address: some are always left for the others.
const MAX_CONNECTIONS_PER_CLIENT: usize = 240;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head, and most of a body that is held in memory.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most headers.
const MAX_HEADERS: usize = 64;
/// Longest life of a connection: following a job at its longest.
const CONNECTION: Duration = Duration::from_secs(2 * 60 * 60);
/// How long the old address is served beside the new one, so that a page can follow.
const GRACE: Duration = Duration::from_secs(30);
/// How often the address is held against the configuration.
const LOOK: Duration = Duration::from_secs(2);
const BACKLOG: u32 = 128;
const HELPER_HINT: &str = "systemctl status atomix-config-helper";

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(SocketAddr);

impl Peer {
    /// The peer of a request; nobody's address for a request that came over no connection.
    pub(super) fn of(parts: &Parts) -> Self {
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        parts.extensions.get::<Self>().copied().unwrap_or(Self(nobody))
    }

    pub(super) const fn ip(self) -> IpAddr {
        self.0.ip()
    }
}

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A socket that connections come to.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on `address`, also while the interface has not come up with it yet.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(failed)?;
        socket.set_reuseaddr(true).map_err(failed)?;
        #[cfg(target_os = "linux")]
        {
            // Everywhere and one address together, while the service goes from one to the other.
            socket.set_reuseport(true).map_err(failed)?;
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpFreebind, &true)
                .map_err(|errno| failed(errno.into()))?;
        }
        socket.bind(address).map_err(failed)?;
        Ok(Self(socket.listen(BACKLOG).map_err(failed)?))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Where the service has to listen now.
async fn wanted(app: &App) -> Result<SocketAddr, HelperError> {
    let in_force = app.in_force().await?;
    let port = app.settings().port;
    if !in_force.current.provisioned {
        return Ok(SocketAddr::new(app.settings().unclaimed, port));
    }
    let lan = in_force.current.gateway_ip.as_deref().and_then(|text| text.parse().ok());
    // Without a LAN there is nobody who may ask: the machine itself at most.
    Ok(SocketAddr::new(lan.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port))
}

/// Serves where the configuration says, and follows it. Ends only by an error at the first
/// address; a later one that cannot be had is tried again and again. What it waits for and where
/// it listens is handed to `tell` when it changes.
///
/// # Errors
/// [`ListenError`].
pub async fn serve_following(app: &App, tell: &(dyn Fn(&str) + Sync)) -> Result<(), ListenError> {
    let mut now: Option<(SocketAddr, JoinHandle<()>)> = None;
    let mut told = String::new();
    let mut tell = |words: String| {
        if words != told {
            tell(&words);
            told = words;
        }
    };
    loop {
        let wanted = wanted(app).await;
        if let Err(error) = &wanted {
            tell(format!("{}; waiting for it ({HELPER_HINT})", chain(error)));
        }
        if let Ok(address) = wanted
            && now.as_ref().is_none_or(|(current, _)| *current != address)
        {
            match (Listener::bind(address), &now) {
                (Ok(listener), _) => {
                    tell(format!("listening on {address}"));
                    let fresh = tokio::spawn(serve(app.clone(), listener));
                    if let Some((_, old)) = now.replace((address, fresh)) {
                        tokio::spawn(async move {
                            tokio::time::sleep(GRACE).await;
                            old.abort();
                        });
                    }
                }
                (Err(error), None) => return Err(error),
                (Err(error), Some(_)) => tell(format!("{}; trying again", chain(&error))),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Serves one listener until it is dropped. Connections outlive it.
pub async fn serve(app: App, listener: Listener) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let clients = Arc::new(Clients::default());
    let router = router(app);
    loop {
        // A connection beyond the limit waits in the kernel until another one ends.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.0.accept().await else {
            // Out of descriptors: give the others time to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(client) = Client::enter(&clients, peer.ip()) else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            let _held = (place, client);
            let _ = tokio::time::timeout(CONNECTION, converse(stream, peer, router)).await;
        });
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router) {
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        inner.call(request)
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    // How a connection ends is its client's business.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// How many connections each address has.
#[derive(Default)]
struct Clients(Mutex<BTreeMap<IpAddr, usize>>);

/// One connection of a client; counted until it is dropped.
struct Client {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Client {
    fn enter(clients: &Arc<Clients>, address: IpAddr) -> Option<Self> {
        let mut counts = clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MAX_CONNECTIONS_PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(Self { clients: Arc::clone(clients), address })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut counts = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
