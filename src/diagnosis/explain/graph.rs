//! What Microsoft Graph says.

use super::words::{Words, quote};
use crate::diagnosis::{
    Context, GraphRefusal,
    catalogue::{self, fill},
};

pub(super) fn words(refusal: &GraphRefusal, context: &Context) -> Words {
    let mut why = quote(&format!(
        "{} {} {}",
        refusal.status, refusal.code, refusal.message
    ));
    if let Some(id) = &refusal.request_id {
        why.push_str(&format!(" (request {})", quote(id)));
    }
    match catalogue::graph(refusal) {
        Some(entry) => Words::known(entry, context, &why),
        None => Words::new(
            "graph_refused",
            "Microsoft Graph refuses to send.",
            why,
            fill(
                "If it is not tried again by itself, show its words and the request id to Microsoft support. {kept}",
                context,
            ),
        ),
    }
}
