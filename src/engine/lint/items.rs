//! One item of the checklist: its title, its options, and what its bodies reach.

use rhai::{Expr, FnCallExpr, Position};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::arguments::matched;
use super::flow::{Flow, Here};
use super::outline::{OutlineItem, OutlineKind};
use super::{tree, words};
use crate::host::Verb;
use crate::model::{Fault, ItemKind, Place};
use crate::msg;

impl Flow<'_> {
    /// Looks at an item; false where the verb is none.
    pub(super) fn item(
        &mut self,
        verb: &Verb,
        call: &FnCallExpr,
        at: Position,
        here: &Here,
    ) -> bool {
        let kind = match words::item_kind(verb.name) {
            Some(kind) => OutlineKind::Item(kind),
            None if verb.name == "section" => OutlineKind::Section,
            None => return false,
        };
        let unit = &self.program.units[here.unit];
        let place = unit.place(at);
        let title = call.args.first().and_then(tree::text).map(|title| title.nfc().collect());
        let Some(matched) = matched(verb, &call.args) else { return true };
        let options =
            matched.places.get(1).copied().flatten().filter(|_| {
                verb.arguments().nth(1).is_some_and(|argument| argument.name == "options")
            });
        let option = |name: &str| options.and_then(|options| tree::entry(options, name));
        self.items.push(OutlineItem {
            kind,
            title: title.clone(),
            file: unit.file.clone(),
            line: place.line,
            has_undo: option("undo").is_some(),
            when: option("when").is_some(),
            certain: here.arms.is_empty() && !here.repeats,
        });
        let OutlineKind::Item(kind) = kind else { return true };
        if let Some(title) = &title {
            let at = call.args.first().map_or(at, Expr::start_position);
            let title_place = unit.place(at);
            let named = !matches!(kind, ItemKind::Always | ItemKind::OnFailure);
            self.title(title, named, title_place, here);
        }
        let shown = title.unwrap_or_else(|| verb.name.to_string());
        let bodies = matched.places.iter().copied().flatten().chain(option("undo"));
        for body in bodies {
            self.body(body, kind, &shown, &place, here, option("undo"), option("transaction"));
        }
        true
    }

    fn title(&mut self, title: &str, named: bool, place: Place, here: &Here) {
        if title.trim().is_empty() {
            let fault = Fault::usage("empty-title", msg!("engine.empty-title"));
            self.findings.error(fault.place(place));
            return;
        }
        if title.trim() != title {
            self.findings.warning(
                Fault::usage("title-spaces", msg!("engine.title-spaces", title = title))
                    .cause(msg!("engine.title-spaces.cause"))
                    .remedy(msg!("engine.title-spaces.remedy"))
                    .place(place.clone()),
            );
        }
        if !named {
            return;
        }
        let excludes = |other: &Here| {
            other.arms.iter().any(|(branch, arm)| {
                here.arms.iter().any(|(known, other)| known == branch && other != arm)
            })
        };
        let twice = self.titles.iter().any(|(known, other)| known == title && !excludes(other));
        if twice {
            let fault =
                Fault::usage("duplicate-title", msg!("host.duplicate-title", title = title))
                    .cause(msg!("host.duplicate-title.cause"))
                    .remedy(msg!("host.duplicate-title.remedy"))
                    .place(place);
            let calls = here.calls.iter().rev();
            self.findings.error(calls.fold(fault, |fault, call| fault.place(call.clone())));
        } else if here.repeats {
            self.findings.warning(
                Fault::usage("title-in-loop", msg!("engine.title-in-loop", title = title))
                    .cause(msg!("host.duplicate-title.cause"))
                    .remedy(msg!("engine.title-in-loop.remedy"))
                    .place(place),
            );
        }
        self.titles.push((title.into(), here.clone()));
    }

    #[allow(clippy::too_many_arguments)]
    fn body(
        &mut self,
        body: &Expr,
        kind: ItemKind,
        title: &str,
        item: &Place,
        here: &Here,
        undo: Option<&Expr>,
        transaction: Option<&Expr>,
    ) {
        let Some(stmts) = self.program.closure_body(here.unit, body) else { return };
        let reach = self.reaches.of_block(here.unit, stmts);
        let is_undo = undo.is_some_and(|undo| std::ptr::eq(undo, body));
        let item = item.clone().labelled(msg!("host.in-this-item"));
        for leaf in &reach.items {
            let inner = leaf.title.as_deref().unwrap_or(leaf.verb);
            let text = msg!("host.nested-item", item = inner, outer = title);
            self.findings.error(
                Fault::usage("nested-item", text)
                    .remedy(msg!("host.nested-item.remedy"))
                    .place(self.place_of(leaf))
                    .place(item.clone()),
            );
        }
        if matches!(kind, ItemKind::Check | ItemKind::Verify) {
            for leaf in reach.effects() {
                let text = msg!("host.write-in-check", verb = leaf.verb);
                self.findings.error(
                    Fault::usage("write-in-check", text)
                        .remedy(msg!("host.write-in-check.remedy"))
                        .place(self.place_of(leaf))
                        .place(item.clone()),
                );
            }
            return;
        }
        // Without a transaction only the order decides, and that is seen when it runs.
        let together = transaction.and_then(tree::literal) != Some(Value::Bool(false));
        if let (Some(write), Some(external), true) =
            (reach.writes.first(), reach.externals.first(), together)
        {
            self.findings.error(
                Fault::usage(
                    "mixed-effects",
                    msg!("engine.mixed-effects", write = write.verb, external = external.verb),
                )
                .cause(msg!("host.mixed-effects.cause"))
                .remedy(msg!("host.mixed-effects.remedy"))
                .place(self.place_of(external))
                .place(self.place_of(write)),
            );
        }
        let risky = matches!(self.declared.risk.as_deref(), Some("high" | "very_high"));
        if kind == ItemKind::Step && undo.is_none() && risky && !is_undo && !reach.writes.is_empty()
        {
            self.findings.warning(
                Fault::usage("no-undo", msg!("engine.no-undo", title = title))
                    .cause(msg!("engine.no-undo.cause"))
                    .remedy(msg!("engine.no-undo.remedy"))
                    .place(Place { label: String::new(), ..item }),
            );
        }
    }
}
