//! Makes envelopes of check-ins.

use super::{
    envelope::{Envelope, ItemHeader},
    packer::{Packer, failed},
};
use crate::{
    account::{Counts, Ledger},
    convert::CheckIn,
};

impl Packer {
    /// The envelope of a check-in. Sentry takes one in each envelope.
    pub(crate) fn pack_check_in(&self, check_in: &CheckIn, ledger: &Ledger) -> Option<Envelope> {
        let Ok(payload) = serde_json::to_vec(&check_in.item(self.sender.service.environment())) else {
            failed(ledger, Counts::CHECK_IN);
            return None;
        };
        let content_type = "application/json";
        let header = ItemHeader { r#type: "check_in", item_count: None, length: payload.len(), content_type };
        Some(Envelope::without_event(&header, &payload, Counts::CHECK_IN))
    }
}
