// A Worker with Sentry's SDK for Cloudflare. `GET /start?next=URL` calls the next service. Every other path is the last
// service, which answers with its trace.
import { getTraceData, withSentry } from "@sentry/cloudflare";

const handler = {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/start") return new Response(await (await fetch(url.searchParams.get("next"))).text());
    return Response.json(getTraceData());
  },
};

const options = env => ({
  dsn: env.SENTRY_DSN,
  environment: "neighbour",
  tracesSampleRate: Number(env.RATE),
  tracePropagationTargets: [/.*/],
});

export default withSentry(options, handler);
