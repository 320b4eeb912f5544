//! The border of all RPCs: finds out who calls, and looks up the call in the table.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use mosaico_storage::error::Result;
use mosaico_tls::PeerIdentity;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use super::Access;
use super::identity::{Caller, claimed};
use super::table::rpc;
use crate::limits::Gate;
use crate::request_layer::{Call, status_of};

/// Wraps services in [`Guarded`].
#[derive(Debug, Clone)]
pub(crate) struct AccessLayer {
    pub(crate) access: Arc<Access>,
    pub(crate) gate: Arc<Gate>,
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, layer: self.clone() }
    }
}

/// Services whose requests have a [`Caller`] as an extension.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    layer: AccessLayer,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone is not ready, the service that was polled is.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let AccessLayer { access, gate } = self.layer.clone();
        async move {
            let extensions = request.extensions();
            let from = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
            let call = extensions.get::<Arc<Call>>().cloned();
            let certificate = extensions.get::<PeerIdentity>().cloned();
            let (headers, path) = (request.headers(), request.uri().path());
            match admit(&access, headers, path, call, from, certificate.as_ref()).await {
                Ok(caller) => match gate.charge(&caller, request.extensions()) {
                    Ok(charged) => {
                        request.extensions_mut().insert(Arc::new(caller));
                        let response = inner.call(request).await?;
                        Ok(response.map(|body| gate.until_its_end(body, None, charged)))
                    }
                    Err(status) => Ok(status.into_http()),
                },
                Err(error) => Ok(status_of(error).into_http()),
            }
        }
        .boxed()
    }
}

async fn admit(
    access: &Arc<Access>,
    headers: &HeaderMap,
    path: &str,
    call: Option<Arc<Call>>,
    from: Option<SocketAddr>,
    certificate: Option<&PeerIdentity>,
) -> Result<Caller> {
    let caller = access.caller(headers, path, certificate).await;
    if let Some(call) = call {
        match &caller {
            Ok(caller) => call.trail.is_of(caller),
            Err(_) => call.trail.is_of_unknown(claimed(headers)),
        }
        call.trail.is_from(from, access.is_audited);
    }
    let caller = caller?;
    caller.check_rule(rpc(path))?;
    Ok(caller)
}
