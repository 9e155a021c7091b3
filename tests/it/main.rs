//! What only the whole can show: headers in, spans, envelopes and headers out, through the facade's public names.

mod delivery;
mod propagation;
mod set_up;
mod support;
mod trace;
