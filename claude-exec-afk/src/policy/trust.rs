//! Whether an issue may be believed.

use super::Gate;
use crate::issue::{Issue, Labelling};
use crate::names::Digest;
use crate::seen::Seen;

/// The labelling and the text that are trusted, or the gate.
///
/// The label is not the authorisation: whoever may triage can put it on. The person who did must be able to
/// write to the repository, and the text must be what that person saw, or have been changed by another such
/// person.
pub(super) fn trust(issue: &Issue) -> Result<(&Labelling, &Digest), Gate> {
    let labelling = match &issue.labelling {
        Seen::Known(labelling) => labelling,
        Seen::Absent => return Err(Gate::NotReady),
        Seen::Unknown(reason) => return Err(Gate::LabellerUnknown(reason.clone())),
    };
    let actor = &labelling.actor;
    match &labelling.permission {
        Seen::Known(permission) if permission.is_trusted() => {}
        Seen::Known(permission) => {
            return Err(Gate::Untrusted { actor: actor.clone(), permission: *permission });
        }
        Seen::Absent => {
            return Err(Gate::Untrusted { actor: actor.clone(), permission: crate::issue::Permission::None });
        }
        Seen::Unknown(reason) => {
            return Err(Gate::PermissionUnknown { actor: actor.clone(), reason: reason.clone() });
        }
    }
    let text = match &issue.text {
        Seen::Known(text) => text,
        Seen::Absent => return Err(Gate::Closed),
        Seen::Unknown(reason) => return Err(Gate::TextUnknown(reason.clone())),
    };
    let changed = match &labelling.text {
        Seen::Known(labelled) => labelled != text,
        // The loop fills in what it saw first; before that, there is nothing to compare with.
        Seen::Absent => false,
        Seen::Unknown(reason) => return Err(Gate::LabelledTextUnknown(reason.clone())),
    };
    let by_trusted = issue.editor.known().is_some_and(|editor| editor.is_trusted());
    if changed && !by_trusted { Err(Gate::Edited) } else { Ok((labelling, text)) }
}
