// What the shop's page needs of Sentry's browser SDK.
export { browserTracingIntegration, init } from "@sentry/browser";
