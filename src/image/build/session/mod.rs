//! The session that BuildKit calls back on during a build: for the context's files, secrets and credentials.
//! bollard's own session offers no secrets together with `/build`, and uploads a context whose Dockerfile cannot be
//! ignored, so this one is ours, made of bollard's protocol definitions.

mod files;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll},
};

use bollard::{
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
            packet::file_sync_server::FileSyncServer,
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
    sync::oneshot,
};
use tonic::{Request as Call, Response as Answer, Status, transport::server::Connected};

use self::files::{FileServer, Taken};
use crate::error::{Context as _, Error, Kind, Result};
use crate::image::{Engine, auth::credentials, context::Context, dockerfile::Files};

const METHODS: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.Auth/GetTokenAuthority",
];

/// Open for as long as this value lives.
pub struct Session {
    pub id: String,
    troubles: Troubles,
    taken: Taken,
    _close: oneshot::Sender<()>,
}

/// Why the engine was given no credentials. A base image is mostly to be had without, so the build goes on.
type Troubles = Arc<Mutex<Vec<Error>>>;

impl Session {
    /// The files of the context that the engine asked for.
    pub fn files_taken(&self) -> Files {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn troubles(&self) -> Vec<Error> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// None when the engine has no BuildKit. The Dockerfile is served under this name, wherever it lies.
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
            // The engine would tell a change by size and time alone, and another content may come with the same of both:
            // nothing that an earlier build sent may be taken for current.
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

        let taken = Taken::default();
        let files = FileServer::new(context, dockerfile, Arc::clone(&taken));
        let troubles = Troubles::default();
        let (close, closed) = oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(HealthServer::new(Alive))
            .add_service(FileSyncServer::new(files))
            .add_service(SecretsServer::new(SecretFiles(secrets)))
            .add_service(AuthServer::new(DockerAuth(Arc::clone(&troubles))))
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
        Ok(Some(Session { id, troubles, taken, _close: close }))
    }
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
struct DockerAuth(Troubles);

#[tonic::async_trait]
impl Auth for DockerAuth {
    async fn credentials(&self, call: Call<CredentialsRequest>) -> Reply<CredentialsResponse> {
        let (found, trouble) = credentials::for_pull(&call.get_ref().host).await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(trouble);
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
