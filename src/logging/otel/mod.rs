//! Exports spans to an OpenTelemetry collector, if the environment names one (cargo feature `otel`).
//!
//! 1. Only the standard variables control it: `OTEL_EXPORTER_OTLP_ENDPOINT` or its traces variant turns it on.
//! 2. Nothing waits for the collector: a separate thread sends spans from a bounded queue; spans that do not fit are dropped, and the
//!    end of the process waits at most [`END_TIMEOUT`].
//! 3. Only spans of this program are sent, without the content of requests and answers.
//!
//! Not here: the HTTP client (`post.rs`), the spans themselves (the modules).

mod post;

use crate::config::LogLevel;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter as Otlp, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How long the end of the process waits for the last spans.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The cluster's name and the node's id, once they are known.
type Place = Arc<OnceLock<(String, String)>>;

/// Keeps the export running. Dropping it sends the queued spans.
#[derive(Debug)]
pub(super) struct Export {
    provider: SdkTracerProvider,
    place: Place,
}

impl Export {
    /// Sets the cluster and the node id.
    pub(super) fn node_is(&self, cluster: &str, node_id: &str) {
        // A renamed node keeps its first id here.
        let _ = self.place.set((cluster.to_owned(), node_id.to_owned()));
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // `post.rs` has already logged that the collector does not answer.
        let _ = self.provider.shutdown_with_timeout(END_TIMEOUT);
    }
}

/// The layer that collects spans, and the export. `None`: the variables do not turn it on. The error says what is wrong with them.
pub(super) fn layer<S>(
    component: &str,
    level: LogLevel,
) -> Result<Option<(impl Layer<S> + Send + Sync + use<S>, Export)>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    if !is_wanted(&|name| std::env::var(name).ok().filter(|text| !text.is_empty())) {
        return Ok(None);
    }
    let client = post::Post::new().map_err(|why| why.to_string())?;
    let otlp = Otlp::builder().with_http().with_http_client(client).build().map_err(|why| why.to_string())?;
    let place = Place::default();
    let exporter = Named {
        waits: Mutex::new(Some(otlp)),
        named: OnceLock::new(),
        place: Arc::clone(&place),
        resource: resource(component),
    };
    let provider =
        SdkTracerProvider::builder().with_resource(resource(component)).with_batch_exporter(exporter).build();
    let tracer = provider.tracer("clawster");
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    let level = if level == LogLevel::Trace { LevelFilter::TRACE } else { LevelFilter::DEBUG };
    Ok(Some((layer.with_filter(Targets::new().with_target("clawster", level)), Export { provider, place })))
}

/// Whether the variables turn the export on.
fn is_wanted(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let off = |name: &str, value: &str| variable(name).is_some_and(|text| text.eq_ignore_ascii_case(value));
    endpoint.iter().any(|name| variable(name).is_some())
        && !off("OTEL_SDK_DISABLED", "true")
        && !off("OTEL_TRACES_EXPORTER", "none")
}

/// The attributes of every span of this process; the standard variables override these defaults.
fn resource(component: &str) -> Resource {
    let own = [
        KeyValue::new("service.name", "clawster"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("clawster.component", component.to_owned()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    let given = Resource::builder().build();
    let unnamed = |text: &str| text.starts_with("unknown_service");
    let given = given.iter().filter(|(key, value)| key.as_str() != "service.name" || !unnamed(&value.as_str()));
    let given: Vec<_> = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    Resource::builder_empty().with_attributes(own).with_attributes(given).build()
}

/// The exporter. It gets the node's id before its first batch, because the id is known only after logging is set up.
#[derive(Debug)]
struct Named {
    waits: Mutex<Option<Otlp>>,
    named: OnceLock<Otlp>,
    place: Place,
    resource: Resource,
}

impl Named {
    fn ready(&self) -> Option<&Otlp> {
        if let Some(mut otlp) = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let attributes = self.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
            let place = self.place.get().into_iter().flat_map(|(cluster, node_id)| {
                let of = |key: &'static str, text: &String| KeyValue::new(key, text.clone());
                [of("clawster.cluster", cluster), of("clawster.node_id", node_id), of("service.instance.id", node_id)]
            });
            let whole: Vec<_> = place.chain(attributes).collect();
            otlp.set_resource(&Resource::builder_empty().with_attributes(whole).build());
            return Some(self.named.get_or_init(|| otlp));
        }
        self.named.get()
    }
}

impl SpanExporter for Named {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match self.ready() {
            Some(otlp) => otlp.export(batch).await,
            None => Err(OTelSdkError::InternalFailure("the exporter is gone".to_owned())),
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.named.get().map_or(Ok(()), |otlp| otlp.shutdown_with_timeout(timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_named_collector_turns_it_on() {
        let with = |set: &[(&str, &str)]| {
            is_wanted(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        assert!(with(&[endpoint]));
        assert!(with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces")]));
        assert!(!with(&[]) && !with(&[("OTEL_SERVICE_NAME", "mine")]));
        assert!(!with(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(!with(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[test]
    fn the_service_has_a_name_without_any_variable() {
        let named =
            resource("serve").iter().find(|(key, _)| key.as_str() == "service.name").map(|(_, v)| v.to_string());
        assert!(named.is_some_and(|name| !name.starts_with("unknown")));
    }
}
