//! What the statements of a file have shown so far of the tables that they work on.
//!
//! No server is asked: a column's old type or a key's other table is known where the file itself
//! created it, and only there. Fed statement by statement by the linter; asked for locks, rewrites
//! and ways back.

use std::collections::{BTreeMap, BTreeSet};

use squawk_syntax::{SyntaxKind as K, SyntaxNode};

use super::classify::StatementInfo;
use super::tree;

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As written, `varchar(20)`.
    pub(crate) kind: String,
    /// `COLLATE "C"`; empty where the type's own is used.
    pub(crate) collation: String,
    /// As written; None where there is none.
    pub(crate) default: Option<String>,
    pub(crate) not_null: bool,
    /// Identity, serial or generated.
    pub(crate) made: bool,
}

/// A constraint of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constraint {
    pub(crate) name: String,
    /// Without its name: `CHECK (a > 0)`.
    pub(crate) definition: String,
    pub(crate) columns: Vec<String>,
    /// The other table of a foreign key.
    pub(crate) references: Option<String>,
    /// ON DELETE CASCADE, SET NULL or SET DEFAULT: the other table's DELETE writes into this one.
    pub(crate) writes_on_delete: bool,
    pub(crate) primary: bool,
    pub(crate) check: bool,
    pub(crate) valid: bool,
}

/// A table, as far as the file shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) constraints: Vec<Constraint>,
    /// Partitions and children by inheritance.
    pub(crate) children: Vec<String>,
    pub(crate) partitioned: bool,
    /// `FOR VALUES IN (1)` of a partition.
    pub(crate) bounds: Option<String>,
    pub(crate) unlogged: bool,
    pub(crate) temporary: bool,
    pub(crate) view: bool,
    /// Of `CREATE TABLE .. OF type`.
    pub(crate) of_type: String,
    /// Row level security: switched on, and for the owner as well.
    pub(crate) guarded: bool,
    pub(crate) forced: bool,
    /// The index that CLUSTER follows.
    pub(crate) clustered: bool,
    /// Another replica identity than the primary key.
    pub(crate) identity: bool,
    /// Triggers and rules that were switched off.
    pub(crate) off: Vec<String>,
    /// Only altered here, not created: what is not seen may be there all the same.
    pub(crate) partial: bool,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|one| one.name == name)
    }
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    pub(crate) definition: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) indexes: BTreeMap<String, Index>,
    /// Texts that created other things, by kind and name: `("view", "v")`.
    pub(crate) definitions: BTreeMap<(String, String), String>,
    /// The tables of extended statistics.
    pub(crate) statistics: BTreeMap<String, String>,
    /// What functions do when they are called, by name without schema.
    bodies: BTreeMap<String, StatementInfo>,
    /// What this file itself created: nobody else can wait for it.
    new: BTreeSet<String>,
}

/// `public.t` and `t` are one name here.
pub(crate) fn key(name: &str) -> String {
    name.strip_prefix("public.").unwrap_or(name).to_string()
}

/// The text of a node with single blanks.
pub(crate) fn text(node: &SyntaxNode) -> String {
    let text = tree::source(node);
    let comment = super::lex::tokens(&text).any(|token| {
        matches!(token.kind, super::lex::Kind::LineComment | super::lex::Kind::BlockComment)
    });
    if comment { text.trim().to_string() } else { squeezed(&text) }
}

/// White space outside of literals made one blank.
fn squeezed(text: &str) -> String {
    let parts = super::lex::tokens(text)
        .map(|token| if token.kind == super::lex::Kind::Space { " " } else { token.text });
    parts.collect::<String>().trim().to_string()
}

pub(crate) fn child(node: &SyntaxNode, kind: K) -> Option<SyntaxNode> {
    node.children().find(|child| child.kind() == kind)
}

pub(crate) fn has(node: &SyntaxNode, kind: K) -> bool {
    child(node, kind).is_some()
}

/// The name of a child of a kind, empty where there is none.
pub(crate) fn named(node: &SyntaxNode, kind: K) -> String {
    child(node, kind).map(|found| tree::name(&found)).unwrap_or_default()
}

/// The name of the type behind OF.
fn type_of(of: &SyntaxNode) -> String {
    let name = of.descendants().find(|node| matches!(node.kind(), K::PATH_REF | K::PATH));
    name.map(|name| tree::name(&name)).unwrap_or_default()
}

/// True for a node that says a column's type.
pub(crate) fn is_type(kind: K) -> bool {
    format!("{kind:?}").ends_with("_TYPE")
}

impl Seen {
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(&key(name))
    }

    /// The table where the file shows all of it.
    pub(crate) fn whole(&self, name: &str) -> Option<&Table> {
        self.table(name).filter(|table| !table.partial)
    }

    pub(crate) fn is_new(&self, name: &str) -> bool {
        self.new.contains(&key(name))
    }

    /// Everything seen so far counts as having been there before.
    pub fn settle(&mut self) {
        self.new.clear();
    }

    /// What a function of the file does when it is called.
    pub(crate) fn body(&self, function: &str) -> Option<&StatementInfo> {
        self.bodies.get(function.rsplit('.').next().unwrap_or(function))
    }

    /// Keeps what a function does; of two with one name, the worse.
    pub(crate) fn remember_body(&mut self, stmt: &SyntaxNode, does: StatementInfo) {
        let name = own_name(stmt);
        let bare = name.rsplit('.').next().unwrap_or(&name).to_string();
        if self.bodies.get(&bare).is_none_or(|known| known.risk <= does.risk) {
            self.bodies.insert(bare, does);
        }
    }

    pub(crate) fn definition(&self, kind: &str, name: &str) -> Option<&String> {
        self.definitions.get(&(kind.to_string(), key(name)))
    }

    /// The table itself and all tables below it.
    pub(crate) fn family(&self, name: &str) -> Vec<String> {
        let mut all = vec![name.to_string()];
        let mut at = 0;
        while at < all.len() {
            for below in
                self.table(&all[at].clone()).map(|t| t.children.clone()).unwrap_or_default()
            {
                if !all.contains(&below) {
                    all.push(below);
                }
            }
            at += 1;
        }
        all
    }

    /// Tables with a column of a type, or made of it.
    pub(crate) fn made_of(&self, kind: &str) -> Vec<&String> {
        let wanted = key(kind);
        let uses = |table: &Table| {
            key(&table.of_type) == wanted
                || table.columns.iter().any(|column| key(&column.kind) == wanted)
        };
        self.tables.iter().filter(|(_, table)| uses(table)).map(|(name, _)| name).collect()
    }

    /// Tables whose triggers run a function.
    pub(crate) fn run_by(&self, function: &str) -> Vec<String> {
        let runs = |text: &str| {
            let words: Vec<_> =
                super::lex::meaningful(text).map(|token| token.text.to_ascii_lowercase()).collect();
            let at = words.iter().rposition(|word| word == "function" || word == "procedure");
            at.is_some_and(|at| words[at + 1..].iter().any(|word| word == function))
        };
        self.definitions
            .iter()
            .filter(|((kind, _), text)| kind == "trigger" && runs(text))
            .filter_map(|((_, name), _)| Some(name.split_once(" on ")?.1.to_string()))
            .collect()
    }

    /// True for a function of the file that says it is not volatile.
    pub(crate) fn is_stable(&self, function: &str) -> bool {
        self.definition("function", function).is_some_and(|text| {
            let says = |word: &str| super::lex::meaningful(text).any(|token| token.is(word));
            says("immutable") || says("stable")
        })
    }

    /// True for a domain of the file that checks its values.
    pub(crate) fn checks(&self, domain: &str) -> bool {
        self.definition("domain", domain)
            .is_some_and(|text| super::lex::meaningful(text).any(|token| token.is("check")))
    }

    /// Foreign keys that point to a table: (table that holds the key, the key).
    pub(crate) fn pointing_to(&self, name: &str) -> Vec<(&String, &Constraint)> {
        let wanted = key(name);
        self.tables
            .iter()
            .flat_map(|(table, one)| one.constraints.iter().map(move |c| (table, c)))
            .filter(|(_, c)| c.references.as_deref().map(key).as_deref() == Some(&wanted))
            .collect()
    }

    /// Takes in one statement.
    pub(crate) fn learn(&mut self, stmt: &SyntaxNode) {
        match stmt.kind() {
            K::CREATE_TABLE | K::CREATE_FOREIGN_TABLE => self.create_table(stmt),
            K::CREATE_TABLE_AS | K::SELECT_INTO => {
                let refs = tree::relations(stmt);
                for name in tree::objects(stmt, &refs) {
                    self.made(&name, Table::default(), has(stmt, K::IF_NOT_EXISTS));
                }
            }
            K::CREATE_INDEX => self.create_index(stmt),
            K::CREATE_VIEW | K::CREATE_MATERIALIZED_VIEW => {
                let name = own_name(stmt);
                let replaces = has(stmt, K::OR_REPLACE) || has(stmt, K::IF_NOT_EXISTS);
                self.made(&name, Table { view: true, ..Table::default() }, replaces);
                self.define("view", &name, stmt);
            }
            K::CREATE_FUNCTION | K::CREATE_PROCEDURE => {
                self.define("function", &own_name(stmt), stmt);
            }
            K::CREATE_TRIGGER | K::CREATE_POLICY | K::CREATE_RULE => {
                let (kind, name) = hanging(stmt);
                self.definitions.insert((kind, name), text(stmt));
            }
            K::CREATE_STATISTICS => {
                let name = named(stmt, K::STATISTICS);
                let table = own_name(stmt);
                self.define("statistics", &name, stmt);
                self.statistics.insert(key(&name), table);
            }
            K::CREATE_SEQUENCE => self.define("sequence", &own_name(stmt), stmt),
            K::CREATE_TYPE => self.define("type", &own_name(stmt), stmt),
            K::CREATE_DOMAIN => self.define("domain", &own_name(stmt), stmt),
            K::ALTER_TABLE => super::learn::alter(self, stmt),
            K::DROP_TABLE | K::DROP_VIEW | K::DROP_MATERIALIZED_VIEW | K::DROP_INDEX => {
                for name in tree::objects(stmt, &tree::relations(stmt)) {
                    self.forget(&name);
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, kind: &str, name: &str, stmt: &SyntaxNode) {
        self.definitions.insert((kind.to_string(), key(name)), text(stmt));
    }

    fn made(&mut self, name: &str, table: Table, may_have_been_there: bool) {
        let name = key(name);
        if may_have_been_there {
            self.tables.entry(name).or_insert(table);
        } else {
            self.new.insert(name.clone());
            self.tables.insert(name, table);
        }
    }

    pub(crate) fn forget(&mut self, name: &str) {
        let name = key(name);
        self.tables.remove(&name);
        self.indexes.remove(&name);
        self.indexes.retain(|_, index| key(&index.table) != name);
        self.new.remove(&name);
        for table in self.tables.values_mut() {
            table.children.retain(|child| key(child) != name);
            table
                .constraints
                .retain(|c| c.references.as_deref().map(key).as_deref() != Some(&name));
        }
    }

    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let (old, new) = (key(old), key(new));
        if let Some(table) = self.tables.remove(&old) {
            self.tables.insert(new.clone(), table);
        }
        if self.new.remove(&old) {
            self.new.insert(new.clone());
        }
        for index in self.indexes.values_mut().filter(|index| key(&index.table) == old) {
            index.table.clone_from(&new);
        }
    }

    fn create_table(&mut self, stmt: &SyntaxNode) {
        let name = own_name(stmt);
        let mut table = Table {
            partitioned: has(stmt, K::PARTITION_BY),
            bounds: stmt
                .children()
                .find(|c| {
                    let word = format!("{:?}", c.kind());
                    word.starts_with("PARTITION_FOR_VALUES") || c.kind() == K::PARTITION_DEFAULT
                })
                .map(|bounds| text(&bounds)),
            of_type: child(stmt, K::OF_TYPE).map(|of| type_of(&of)).unwrap_or_default(),
            unlogged: has(stmt, K::UNLOGGED),
            temporary: has(stmt, K::TEMP) || tree::has_word(stmt, "temporary"),
            ..Table::default()
        };
        for part in stmt.children().filter(|c| c.kind() == K::TABLE_ARG_LIST) {
            for item in part.children() {
                if item.kind() == K::COLUMN {
                    super::learn::column(&item, &name, &mut table);
                } else if let Some(constraint) = super::learn::constraint(&item, &name, None) {
                    super::learn::add_constraint(&mut table, constraint);
                }
            }
        }
        for parents in stmt.children().filter(|c| matches!(c.kind(), K::PARTITION_OF | K::INHERITS))
        {
            for parent in parents.descendants().filter(|c| c.kind() == K::TABLE_NAME_REF) {
                let parent = key(&tree::name(&parent));
                if let Some(above) = self.tables.get_mut(&parent) {
                    above.children.push(name.clone());
                    if table.columns.is_empty() {
                        table.columns.clone_from(&above.columns);
                    }
                }
            }
        }
        self.made(&name, table, has(stmt, K::IF_NOT_EXISTS));
    }

    /// As the server calls an index without a name: `orders_customer_idx`, with a number where
    /// there is one of that name.
    fn usual_index_name(&self, table: &str, columns: &[String]) -> String {
        let bare = table.rsplit('.').next().unwrap_or(table).trim_matches('"');
        let columns = columns.iter().map(|name| match name.trim_matches('"') {
            "" => "expr",
            name => name,
        });
        let parts: Vec<&str> = std::iter::once(bare).chain(columns).chain(["idx"]).collect();
        let usual = parts.join("_");
        let free = |name: &String| {
            !self
                .indexes
                .contains_key(&key(&in_schema_of(table, &tree::render(std::slice::from_ref(name)))))
        };
        let numbered = (1..).map(|number| format!("{usual}{number}"));
        let name = std::iter::once(usual.clone()).chain(numbered).find(free).unwrap_or(usual);
        tree::render(&[name])
    }

    fn create_index(&mut self, stmt: &SyntaxNode) {
        let table = named(stmt, K::TABLE_RELATION_NAME);
        let items = stmt.descendants().filter(|node| node.kind() == K::PARTITION_ITEM);
        let columns: Vec<String> = items.map(|item| named(&item, K::NAME_REF)).collect();
        let name = match named(stmt, K::INDEX) {
            given if !given.is_empty() => given,
            _ => self.usual_index_name(&table, &columns),
        };
        let name = in_schema_of(&table, &name);
        let index = Index { table: table.clone(), columns, definition: text(stmt) };
        self.indexes.insert(key(&name), index);
        if self.is_new(&table) {
            self.new.insert(key(&name));
        }
    }
}

/// An index lies in the schema of its table.
pub(crate) fn in_schema_of(table: &str, index: &str) -> String {
    match table.rsplit_once('.') {
        Some((schema, _)) if !index.contains('.') => format!("{schema}.{index}"),
        _ => index.to_string(),
    }
}

/// The name that a CREATE gives.
pub(crate) fn own_name(stmt: &SyntaxNode) -> String {
    tree::objects(stmt, &tree::Relations::default()).into_iter().next().unwrap_or_default()
}

/// Kind, and name with its table, of a trigger, policy or rule: `("trigger", "tr on t")`.
pub(crate) fn hanging(stmt: &SyntaxNode) -> (String, String) {
    let word = format!("{:?}", stmt.kind()).to_ascii_lowercase();
    let kind = word.rsplit('_').next().unwrap_or_default().to_string();
    let wanted = [K::TRIGGER, K::POLICY, K::RULE, K::TRIGGER_REF, K::POLICY_REF, K::RULE_REF];
    let name = stmt.children().find(|child| wanted.contains(&child.kind()));
    let name = name.map(|name| tree::name(&name)).unwrap_or_default();
    let refs = tree::relations(stmt);
    let table = tree::objects(stmt, &refs).into_iter().next().unwrap_or_default();
    (kind, format!("{name} on {}", key(&table)))
}
