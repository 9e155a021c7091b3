//! Many requests at a time, some of which are not sampled, and requests that end while others are open.

use std::{collections::BTreeMap, error::Error};

use opentelemetry_sentry_testing::{Captured, LocalIngest, Transaction};
use reqwest::Client;
use tokio::task::JoinSet;

use crate::{
    Outcome, Programs,
    arrived::{calls, dsc, members, refusals, wait_for},
    claims::Claims,
    gateway::Gateway,
    process::Server,
};

const MANY: usize = 300;
/// The spans of one request: itself, two functions and its call.
const SPANS: usize = 4;

pub(crate) async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    let (ingest, gateway) = (LocalIngest::start()?, Gateway::start().await?);
    let variables = [("SENTRY_DSN", &*ingest.dsn()), ("GATEWAY", &gateway.url)];
    let server = Server::worker(&programs.workerd, &programs.worker, &variables).await?;
    let worker = Asker { client: Client::builder().no_proxy().build()?, url: server.url.clone() };
    let scene = Scene { ingest, gateway, worker };
    scene.many(claims).await?;
    scene.unsampled(claims).await?;
    scene.isolated(claims).await?;
    scene.counted(claims).await?;
    claims.same("refused requests", refusals(&scene.ingest), [""; 0]);
    Ok(())
}

struct Scene {
    ingest: LocalIngest,
    gateway: Gateway,
    worker: Asker,
}

/// Asks the Worker for products.
#[derive(Clone)]
struct Asker {
    client: Client,
    url: String,
}

impl Asker {
    async fn ask(&self, caller: &Caller, sku: &str) -> reqwest::Result<String> {
        let flag = u8::from(caller.sampled);
        let members: Vec<_> = caller.context().iter().map(|(key, value)| format!("sentry-{key}={value}")).collect();
        let request = self.client.get(format!("{}/products/{sku}", self.url));
        let request = request.header("sentry-trace", format!("{}-{}-{flag}", caller.trace_id(), caller.span_id()));
        request.header("baggage", members.join(",")).send().await?.text().await
    }
}

/// A caller's trace, and its span that asks.
#[derive(Clone, Copy)]
struct Caller {
    number: usize,
    sampled: bool,
}

impl Caller {
    fn trace_id(&self) -> String {
        format!("{:032x}", self.number + 1)
    }

    fn span_id(&self) -> String {
        format!("{:016x}", self.number + 1)
    }

    fn context(&self) -> BTreeMap<&'static str, String> {
        let (sampled, random) = if self.sampled { ("true", "0.25") } else { ("false", "0.75") };
        BTreeMap::from([
            ("trace_id", self.trace_id()),
            ("public_key", "public".to_owned()),
            ("environment", "caller".to_owned()),
            ("sampled", sampled.to_owned()),
            ("sample_rate", "0.5".to_owned()),
            ("sample_rand", random.to_owned()),
        ])
    }
}

impl Scene {
    /// The transaction of a caller's request, which has ended.
    fn transaction(&self, caller: &Caller) -> Result<Transaction, String> {
        let find = |captured: &Captured| {
            let mut all = captured.transactions.iter();
            all.find(|one| one.parent_span_id == Some(caller.span_id())).cloned()
        };
        wait_for(&self.ingest, &format!("the transaction below {}", caller.span_id()), find)
    }

    /// Every answer belongs to its request, and every request is whole.
    async fn many(&self, claims: &mut Claims) -> Outcome {
        let mut answers = JoinSet::new();
        for number in 0..MANY {
            let worker = self.worker.clone();
            let answer = async move { worker.ask(&Caller { number, sampled: true }, &number.to_string()).await };
            answers.spawn(async move { answer.await.map(|text| (number, text)) });
        }
        let answers: Vec<_> = answers.join_all().await.into_iter().collect::<Result<_, _>>()?;
        claims.holds(
            "300 answers are those of their requests",
            answers.iter().all(|(number, text)| number.to_string() == *text),
        );
        wait_for(&self.ingest, "300 transactions", |captured| (captured.transactions.len() >= MANY).then_some(()))?;
        let captured = self.ingest.captured();
        let broken = (0..MANY).filter(|number| !self.is_whole(&captured, &Caller { number: *number, sampled: true }));
        claims.same("requests at a time that are not whole", broken.collect::<Vec<_>>(), [0; 0]);
        claims.same("transactions of 300 requests at a time", captured.transactions.len(), MANY);
        Ok(())
    }

    /// One transaction with all spans in the trace of its caller, whose call is the parent of what the gateway does.
    fn is_whole(&self, captured: &Captured, caller: &Caller) -> bool {
        let of: Vec<_> = captured.transactions.iter().filter(|one| one.trace_id == caller.trace_id()).collect();
        let [transaction] = of[..] else { return false };
        let calls: Vec<_> = calls(transaction).iter().map(|call| call.span_id.clone()).collect();
        let sent = format!("{}-{}-1", caller.trace_id(), calls.concat());
        let context: BTreeMap<_, _> = caller.context();
        let found = dsc(captured, transaction);
        transaction.parent_span_id == Some(caller.span_id())
            && transaction.spans.len() == SPANS - 1
            && self.gateway.header(&caller.number.to_string(), "sentry-trace") == sent
            && found.len() == context.len()
            && context.iter().all(|(key, value)| found.get(*key).and_then(|found| found.as_str()) == Some(value))
    }

    /// A caller's negative decision reaches the gateway, and nothing of the trace is sent.
    async fn unsampled(&self, claims: &mut Claims) -> Outcome {
        let caller = Caller { number: 1000, sampled: false };
        claims.same("unsampled: the answer", self.worker.ask(&caller, "unsampled").await?, "unsampled");
        let sent = self.gateway.header("unsampled", "sentry-trace");
        let parts: Vec<_> = sent.split('-').collect();
        claims.same("unsampled: the gateway's trace", parts.first(), Some(&&*caller.trace_id()));
        claims.same("unsampled: the gateway's decision", parts.last(), Some(&"0"));
        let baggage = self.gateway.header("unsampled", "baggage");
        let context = caller.context();
        let wanted: BTreeMap<_, _> = context.iter().map(|(key, value)| (*key, &**value)).collect();
        claims.same("unsampled: the gateway's context", members(&baggage), wanted);
        // What is sent later has arrived: then what is not there was not sent.
        let next = Caller { number: 1001, sampled: true };
        self.worker.ask(&next, "next").await?;
        self.transaction(&next)?;
        let sent = self.ingest.captured().transactions.iter().filter(|one| one.trace_id == caller.trace_id()).count();
        claims.same("unsampled: transactions", sent, 0);
        Ok(())
    }

    /// At the end of a request nothing of another one leaves, whether that is of the same trace or of another.
    async fn isolated(&self, claims: &mut Claims) -> Outcome {
        // One of its functions has ended when it asks the gateway.
        let open = Caller { number: 2000, sampled: true };
        let meanwhile = async {
            self.gateway.asked_for("slow").await;
            // Another request of the same trace, and one of another trace.
            let others = [(2000, "same trace"), (2001, "other trace")];
            for (number, sku) in others {
                self.worker.ask(&Caller { number, sampled: true }, sku).await?;
            }
            let ended = |captured: &Captured| self.in_traces(captured, &[2000, 2001]).len() == others.len();
            wait_for(&self.ingest, "the requests that have ended", |captured| ended(captured).then_some(()))?;
            let spans: Vec<_> = self.in_traces(&self.ingest.captured(), &[2000, 2001]);
            self.gateway.open();
            Ok::<_, Box<dyn Error>>(spans)
        };
        let (answer, spans) = tokio::join!(self.worker.ask(&open, "slow"), meanwhile);
        claims.same("isolated: spans of the requests that ended", spans?, [SPANS; 2]);
        claims.same("isolated: the answer of the request that was open", answer?, "slow");
        let all = |captured: &Captured| (self.in_traces(captured, &[2000, 2001]).len() == 3).then_some(());
        wait_for(&self.ingest, "the request that was open", all)?;
        let spans = self.in_traces(&self.ingest.captured(), &[2000, 2001]);
        claims.same("isolated: spans of all requests", spans, [SPANS; 3]);
        Ok(())
    }

    /// The number of spans in each transaction of these callers.
    fn in_traces(&self, captured: &Captured, numbers: &[usize]) -> Vec<usize> {
        let ids: Vec<_> = numbers.iter().map(|number| Caller { number: *number, sampled: true }.trace_id()).collect();
        let transactions = captured.transactions.iter().filter(|one| ids.contains(&one.trace_id));
        transactions.map(|one| one.spans.len() + 1).collect()
    }

    /// The Worker's own count.
    async fn counted(&self, claims: &mut Claims) -> Outcome {
        let stats = self.worker.client.get(format!("{}/stats", self.worker.url)).send().await?.text().await?;
        let spans = self.ingest.captured().transactions.len() * SPANS;
        claims.same("the Worker's statistics", stats, format!("{spans} received, {spans} sent, 0 waiting"));
        Ok(())
    }
}
