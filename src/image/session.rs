//! The session that BuildKit calls back on during a build: for the context's files, secrets and credentials.
//! bollard's own session offers no secrets together with `/build`, and uploads a context whose Dockerfile cannot be
//! ignored, so this one is ours, made of bollard's protocol definitions.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bollard::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::{
            packet::file_sync_server::{FileSync, FileSyncServer},
            v1::{
                CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
                GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
                VerifyTokenAuthorityResponse,
                auth_server::{Auth, AuthServer},
            },
        },
    },
};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
};
use tonic::{Request as Call, Response as Answer, Status, Streaming, transport::server::Connected};

use super::{
    Engine,
    context::{Content, Context, Entry, File},
    credentials,
};
use crate::error::{Context as _, Error, Kind, Result};

const METHODS: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
];
const CHUNK: usize = 32 * 1024;

/// Open for as long as this value lives.
pub struct Session {
    pub id: String,
    _close: oneshot::Sender<()>,
}

impl Session {
    /// None when the engine has no BuildKit. `dockerfile` is served under its name, ignored or not.
    pub async fn open(
        engine: &Engine,
        context: Arc<Context>,
        dockerfile: &str,
        secrets: BTreeMap<String, PathBuf>,
    ) -> Result<Option<Session>> {
        let id = format!("{:032x}", rand::random::<u128>());
        let mut request = Request::post("/session")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "stackctl")
            // Files have no times to compare, so nothing that an earlier build sent may be taken for current.
            .header("X-Docker-Expose-Session-Sharedkey", &id);
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let body = Empty::new().map_err(|never| match never {}).boxed();
        let request = request.body(body).context(Kind::Unexpected, || "the session request is malformed".into())?;
        let response = engine.raw(request).await?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST => return Ok(None),
            status => {
                return Err(Error::new(
                    Kind::Platform,
                    format!("the engine {} opened no build session", engine.endpoint),
                )
                .cause(format!("it answered {status}")));
            }
        }
        let upgraded = hyper::upgrade::on(response)
            .await
            .context(Kind::Platform, || format!("the engine {} opened no build session", engine.endpoint))?;

        let files = Files { context: tree(&context), dockerfile: dockerfile_tree(dockerfile, &context.dockerfile) };
        let (close, closed) = oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(HealthServer::new(Alive))
            .add_service(FileSyncServer::new(files))
            .add_service(SecretsServer::new(SecretFiles(secrets)))
            .add_service(AuthServer::new(DockerAuth))
            .serve_with_incoming_shutdown(
                stream::iter([Ok::<_, io::Error>(Transport(TokioIo::new(upgraded)))]).chain(stream::pending()),
                async move {
                    let _ = closed.await;
                },
            );
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::debug!(%error, "the build session ended");
            }
        });
        Ok(Some(Session { id, _close: close }))
    }
}

fn tree(context: &Context) -> Arc<Vec<Entry>> {
    Arc::new(context.entries.clone())
}

/// The Dockerfile alone, with the directories above it.
fn dockerfile_tree(path: &str, text: &str) -> Arc<Vec<Entry>> {
    let directories = path.match_indices('/').map(|(end, _)| Entry {
        path: path[..end].to_owned(),
        mode: 0o755,
        content: Content::Directory,
    });
    let file = Content::File(File::Memory(text.as_bytes().into()));
    Arc::new(directories.chain([Entry { path: path.to_owned(), mode: 0o644, content: file }]).collect())
}

struct Transport(TokioIo<Upgraded>);

impl Connected for Transport {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut TaskContext, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Reply<T> = std::result::Result<Answer<T>, Status>;
type Packets = Pin<Box<dyn Stream<Item = std::result::Result<Packet, Status>> + Send>>;

struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = Pin<Box<dyn Stream<Item = std::result::Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _: Call<HealthCheckRequest>) -> Reply<HealthCheckResponse> {
        Ok(Answer::new(HealthCheckResponse { status: ServingStatus::Serving as i32 }))
    }

    async fn list(&self, _: Call<HealthListRequest>) -> Reply<HealthListResponse> {
        Err(Status::unimplemented("list"))
    }

    async fn watch(&self, _: Call<HealthCheckRequest>) -> Reply<Self::WatchStream> {
        Err(Status::unimplemented("watch"))
    }
}

struct SecretFiles(BTreeMap<String, PathBuf>);

#[tonic::async_trait]
impl Secrets for SecretFiles {
    async fn get_secret(&self, call: Call<GetSecretRequest>) -> Reply<GetSecretResponse> {
        let id = &call.get_ref().id;
        let path = self.0.get(id).ok_or_else(|| Status::not_found(format!("secret {id} not found")))?;
        let data = tokio::fs::read(path)
            .await
            .map_err(|error| Status::internal(format!("secret {id}: cannot read {}: {error}", path.display())))?;
        Ok(Answer::new(GetSecretResponse { data }))
    }
}

/// Docker's credentials, asked for host by host; the engine then talks to the registry itself.
struct DockerAuth;

#[tonic::async_trait]
impl Auth for DockerAuth {
    async fn credentials(&self, call: Call<CredentialsRequest>) -> Reply<CredentialsResponse> {
        let found =
            credentials::find(&call.get_ref().host).await.map_err(|error| Status::internal(error.to_string()))?;
        let found = found.unwrap_or_default();
        Ok(Answer::new(match found.identitytoken {
            Some(secret) => CredentialsResponse { username: String::new(), secret },
            None => CredentialsResponse {
                username: found.username.unwrap_or_default(),
                secret: found.password.unwrap_or_default(),
            },
        }))
    }

    async fn fetch_token(&self, _: Call<FetchTokenRequest>) -> Reply<FetchTokenResponse> {
        Err(Status::unavailable("tokens are fetched by the engine"))
    }

    async fn get_token_authority(&self, _: Call<GetTokenAuthorityRequest>) -> Reply<GetTokenAuthorityResponse> {
        Err(Status::unavailable("tokens are fetched by the engine"))
    }

    async fn verify_token_authority(
        &self,
        _: Call<VerifyTokenAuthorityRequest>,
    ) -> Reply<VerifyTokenAuthorityResponse> {
        Err(Status::unavailable("tokens are fetched by the engine"))
    }
}

/// fsutil's protocol: we send the metadata of all entries, the engine asks for the files it wants by their number.
struct Files {
    context: Arc<Vec<Entry>>,
    dockerfile: Arc<Vec<Entry>>,
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = Packets;
    type TarStreamStream = Packets;

    async fn diff_copy(&self, call: Call<Streaming<Packet>>) -> Reply<Packets> {
        let metadata = call.metadata();
        let values = |key| metadata.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
        let mut entries = match values("dir-name").first().copied() {
            Some("dockerfile") => Arc::clone(&self.dockerfile),
            _ => Arc::clone(&self.context),
        };
        // The frontend looks for ignore rules, which were applied already, before it asks for the rest.
        if values("followpaths") == [".dockerignore"] {
            entries = Arc::new(entries.iter().filter(|entry| entry.path == ".dockerignore").cloned().collect());
        }
        let (sender, receiver) = mpsc::channel(64);
        let (wanted_sender, wanted) = mpsc::unbounded_channel();
        let mut incoming = call.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(packet)) = incoming.next().await {
                if wanted_sender.send(packet).is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            if let Err(status) = send_files(&entries, &sender, wanted).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        let packets = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        Ok(Answer::new(Box::pin(packets)))
    }

    async fn tar_stream(&self, _: Call<Streaming<Packet>>) -> Reply<Packets> {
        Err(Status::unimplemented("tar_stream"))
    }
}

async fn send_files(
    entries: &Arc<Vec<Entry>>,
    sender: &mpsc::Sender<std::result::Result<Packet, Status>>,
    mut wanted: mpsc::UnboundedReceiver<Packet>,
) -> std::result::Result<(), Status> {
    let send = async |packet| sender.send(Ok(packet)).await.map_err(|_| Status::cancelled("the build is over"));
    let listed = Arc::clone(entries);
    let stats = tokio::task::spawn_blocking(move || {
        let stat = |entry: &Entry| stat(entry).map_err(|error| io::Error::other(format!("{}: {error}", entry.path)));
        listed.iter().map(stat).collect::<io::Result<Vec<_>>>()
    });
    let stats = stats.await.map_err(io::Error::other).flatten().map_err(|error| Status::internal(error.to_string()))?;
    for stat in stats {
        send(Packet { r#type: PacketType::PacketStat as i32, stat: Some(stat), ..Default::default() }).await?;
    }
    send(Packet { r#type: PacketType::PacketStat as i32, ..Default::default() }).await?;
    while let Some(packet) = wanted.recv().await {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketReq) => {
                let id = packet.id;
                let data = |data| Packet { r#type: PacketType::PacketData as i32, id, data, ..Default::default() };
                let entry = entries.get(id as usize).cloned();
                let Some(Entry { path, content: Content::File(file), .. }) = entry else {
                    return Err(Status::invalid_argument(format!("there is no file number {id}")));
                };
                let bytes = tokio::task::spawn_blocking(move || file.read().map(std::borrow::Cow::into_owned))
                    .await
                    .map_err(io::Error::other)
                    .flatten()
                    .map_err(|error| Status::internal(format!("cannot read {path}: {error}")))?;
                for chunk in bytes.chunks(CHUNK) {
                    send(data(chunk.to_vec())).await?;
                }
                send(data(Vec::new())).await?;
            }
            Ok(PacketType::PacketFin) => {
                return send(Packet { r#type: PacketType::PacketFin as i32, ..Default::default() }).await;
            }
            Ok(PacketType::PacketErr) => return Err(Status::aborted(String::from_utf8_lossy(&packet.data))),
            _ => {}
        }
    }
    Ok(())
}

/// Metadata as Go's os.FileMode has it, of owner root and time 0.
fn stat(entry: &Entry) -> io::Result<Stat> {
    const DIRECTORY: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(unix, _)| entry.mode & unix != 0).fold(0, |bits, (_, go)| bits | go);
    let (kind, size, linkname) = match &entry.content {
        Content::Directory => (DIRECTORY, 0, String::new()),
        Content::Symlink(target) => (SYMLINK, 0, target.clone()),
        Content::File(File::OnDisk(path)) => (0, std::fs::metadata(path)?.len(), String::new()),
        Content::File(file) => (0, file.read()?.len() as u64, String::new()),
    };
    Ok(Stat {
        path: entry.path.clone(),
        mode: entry.mode & 0o777 | special | kind,
        size: i64::try_from(size).map_err(io::Error::other)?,
        linkname,
        xattrs: HashMap::new(),
        ..Default::default()
    })
}
