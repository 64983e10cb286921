//! How the API shows what an examination found.

use serde_json::{Value, json};

use crate::{
    doctor::{Check, Report, Rights, Told},
    model::FailureClass,
};

pub(super) fn report(report: &Report) -> Value {
    json!({
        "AccountId": report.account.as_ref().map(|(id, _)| id.get()),
        "account": report.account.as_ref().map(|(_, key)| key),
        "verdict": report.verdict().as_str(),
        "cause": report.cause().map(|check| check.item.id()),
        "checks": report.checks.iter().map(check).collect::<Vec<Value>>(),
        "rights": report.rights.as_ref().map(rights),
    })
}

/// A check that has just ended, with whose it is.
pub(super) fn told(told: &Told) -> Value {
    let mut value = check(&told.check);
    if let Some(object) = value.as_object_mut() {
        let (id, key) = told
            .account
            .as_ref()
            .map(|(id, key)| (id.get(), key))
            .unzip();
        object.insert("AccountId".to_owned(), json!(id));
        object.insert("account".to_owned(), json!(key));
    }
    value
}

fn check(check: &Check) -> Value {
    let diagnosis = check.diagnosis.as_ref();
    json!({
        "id": check.item.id(),
        "title": check.item.title(),
        "verdict": check.verdict.as_str(),
        "detail": check.detail,
        "code": diagnosis.map(|d| d.code),
        "what": diagnosis.map(|d| &d.what),
        "why": diagnosis.map(|d| &d.why),
        "next": diagnosis.map(|d| &d.next),
        "action": diagnosis.map(|d| d.action.as_str()),
        "class": diagnosis.map(|d| class(d.class)),
        "milliseconds": u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::RetryLater => "retry_later",
        FailureClass::GiveUp => "give_up",
        FailureClass::OperatorMustAct => "operator_must_act",
        FailureClass::HoldFor(_) => "hold",
    }
}

fn rights(rights: &Rights) -> Value {
    json!({
        "consent": rights.consent.as_str(),
        "imapEnabled": rights.imap_enabled.as_str(),
        "fullAccess": rights.full_access.as_str(),
        "smtpAuth": rights.smtp_auth.as_str(),
        "sendAs": rights.send_as.as_str(),
    })
}
