//! The meaning of expressions, said once more and as plainly as it can be: every operator has two operands, every value is
//! looked up when it is needed. Tests compare it with what is compiled.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use proptest::prelude::*;

#[derive(Debug, PartialEq)]
pub(super) struct NoAnswer;

type Answer<T> = Result<Option<T>, NoAnswer>;
type LookUp<'a> = dyn Fn(&str) -> Option<Cow<'a, str>> + 'a;

#[derive(Clone, Debug)]
pub(super) enum Tree {
    Constant(Option<bool>),
    Bare(String),
    Not(Box<Tree>),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    IsNull(Leaf, bool),
    Equal(Leaf, Leaf, bool),
    Order(Leaf, &'static str, Leaf),
    Between(Leaf, Leaf, Leaf, bool),
    In(String, Vec<String>, bool),
    Search(Leaf, &'static str, String, bool),
}

#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Property(String),
    Number(Number),
    Text(String),
    Negative(Number),
    Tree(Box<Tree>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u32),
    Decimal(u32),
}

#[derive(Debug)]
enum Value {
    Truth(bool),
    Integer(i32),
    Long(i64),
    Double(f64),
    Text(String),
}

impl Tree {
    pub(super) fn truth(&self, get: &LookUp<'_>) -> Answer<bool> {
        match self {
            Self::Constant(truth) => Ok(*truth),
            Self::Bare(name) => Ok(get(name).map(|_| false)),
            Self::Not(tree) => Ok(tree.truth(get)?.map(|truth| !truth)),
            Self::Both(left, right) => match (left.truth(get)?, right) {
                (Some(false), _) => Ok(Some(false)),
                (left, right) => match (left, right.truth(get)?) {
                    (_, Some(false)) => Ok(Some(false)),
                    (Some(_), Some(_)) => Ok(Some(true)),
                    _ => Ok(None),
                },
            },
            // By the law of De Morgan.
            Self::Either(left, right) => {
                let not = |tree: &Self| Box::new(Self::Not(Box::new(tree.clone())));
                Self::Not(Box::new(Self::Both(not(left), not(right)))).truth(get)
            }
            Self::IsNull(leaf, negated) => Ok(Some(leaf.value(get)?.is_none() != *negated)),
            Self::Equal(left, right, negated) => {
                let (left, right) = (left.value(get)?, right.value(get)?);
                let equal = match (left, right) {
                    (None, right) => right.is_none().then_some(true),
                    (Some(_), None) => Some(false),
                    (Some(left), Some(right)) => Some(left.compare(&right)? == Ordering::Equal),
                };
                Ok(equal.map(|equal| equal != *negated))
            }
            Self::Order(left, order, right) => {
                let Some(left) = left.value(get)? else { return Ok(None) };
                let Some(right) = right.value(get)? else { return Ok(None) };
                let ordering = match (&left, &right) {
                    (Value::Text(left), Value::Text(right)) => double(left)?.total_cmp(&double(right)?),
                    _ => left.compare(&right)?,
                };
                Ok(Some(match *order {
                    "<" => ordering == Ordering::Less,
                    "<=" => ordering != Ordering::Greater,
                    ">" => ordering == Ordering::Greater,
                    _ => ordering != Ordering::Less,
                }))
            }
            Self::Between(value, low, high, negated) => {
                let part = |order, bound: &Leaf| Box::new(Self::Order(value.clone(), order, bound.clone()));
                if *negated {
                    return Self::Either(part("<", low), part(">", high)).truth(get);
                }
                Self::Both(part(">=", low), part("<=", high)).truth(get)
            }
            Self::In(name, texts, negated) => {
                Ok(get(name).map(|value| texts.iter().any(|text| *text == value) != *negated))
            }
            Self::Search(leaf, place, text, negated) => {
                if text.is_empty() {
                    return Ok(Some(false));
                }
                let Some(Value::Text(value)) = leaf.value(get)? else { return Ok(Some(false)) };
                let found = match *place {
                    "CONTAINS" => value.contains(text),
                    "STARTSWITH" => value.starts_with(text),
                    _ => value.ends_with(text),
                };
                Ok(Some(found != *negated))
            }
        }
    }
}

impl Leaf {
    fn value(&self, get: &LookUp<'_>) -> Answer<Value> {
        Ok(match self {
            Self::Property(name) => get(name).map(|value| Value::Text(value.into_owned())),
            Self::Text(text) => Some(Value::Text(text.clone())),
            Self::Number(Number::Whole(number)) => Some(Value::whole(i64::from(*number))),
            Self::Negative(Number::Whole(number)) => Some(match Value::whole(i64::from(*number)) {
                Value::Integer(number) => Value::Integer(-number),
                _ => Value::Long(-i64::from(*number)),
            }),
            Self::Number(Number::Decimal(tenths)) => Some(Value::Double(f64::from(*tenths) / 10.0)),
            Self::Negative(Number::Decimal(tenths)) => Some(Value::Double(f64::from(*tenths) / -10.0)),
            Self::Tree(tree) => tree.truth(get)?.map(Value::Truth),
        })
    }
}

impl Value {
    fn whole(number: i64) -> Self {
        i32::try_from(number).map_or(Self::Long(number), Self::Integer)
    }

    fn compare(&self, other: &Self) -> Result<Ordering, NoAnswer> {
        Ok(match (self, other) {
            (Self::Truth(left), Self::Truth(right)) => left.cmp(right),
            (Self::Truth(_), Self::Text(_)) => return Err(NoAnswer),
            (Self::Truth(_), _) => Ordering::Less,
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Text(left), Self::Truth(right)) => (left.to_lowercase() == "true").cmp(right),
            (Self::Text(left), Self::Integer(right)) => left.parse::<i32>().map_err(|_| NoAnswer)?.cmp(right),
            (Self::Text(left), Self::Long(right)) => left.parse::<i64>().map_err(|_| NoAnswer)?.cmp(right),
            (Self::Text(left), Self::Double(right)) => double(left)?.total_cmp(right),
            (_, Self::Text(_)) => other.compare(self)?.reverse(),
            (_, Self::Truth(_)) => Ordering::Less,
            (left, right) => left.double().total_cmp(&right.double()),
        })
    }

    fn double(&self) -> f64 {
        match self {
            Self::Integer(number) => f64::from(*number),
            Self::Long(number) => *number as f64,
            Self::Double(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }
}

fn double(text: &str) -> Result<f64, NoAnswer> {
    text.parse().map_err(|_| NoAnswer)
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Self::Constant(None) => write!(f, "NULL"),
            Self::Constant(Some(truth)) => write!(f, "{truth}"),
            Self::Bare(name) => write!(f, "{name}"),
            Self::Not(tree) => write!(f, "NOT ({tree})"),
            Self::Either(left, right) => write!(f, "{left} OR {right}"),
            Self::Both(left, right) => write!(f, "{} AND {}", Grouped(left), Grouped(right)),
            Self::IsNull(leaf, negated) => write!(f, "{leaf} IS {}NULL", not(negated)),
            Self::Equal(left, right, false) => write!(f, "{left} = {right}"),
            Self::Equal(left, right, true) => write!(f, "{left} <> {right}"),
            Self::Order(left, order, right) => write!(f, "{left} {order} {right}"),
            Self::Between(value, low, high, negated) => {
                write!(f, "{value} {}BETWEEN {low} AND {high}", not(negated))
            }
            Self::In(name, texts, negated) => {
                let texts: Vec<_> = texts.iter().map(|text| Leaf::Text(text.clone()).to_string()).collect();
                write!(f, "{name} {}IN ({})", not(negated), texts.join(", "))
            }
            Self::Search(leaf, place, text, negated) => {
                write!(f, "{leaf} {}{place} {}", not(negated), Leaf::Text(text.clone()))
            }
        }
    }
}

/// What stands beside an AND.
struct Grouped<'a>(&'a Tree);

impl fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tree::Either(..) => write!(f, "({})", self.0),
            tree => write!(f, "{tree}"),
        }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => write!(f, "{name}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Negative(number) => write!(f, "-{number}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Tree(tree) => write!(f, "({tree})"),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Decimal(tenths) => write!(f, "{}.{}", tenths / 10, tenths % 10),
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    "[abcd]"
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        5 => (0..100_u32).prop_map(Number::Whole),
        1 => (0..u32::MAX).prop_map(Number::Whole),
        2 => (1..500_u32).prop_map(Number::Decimal),
    ]
}

/// What may be ordered.
fn numeric() -> impl Strategy<Value = Leaf> {
    prop_oneof![
        4 => number().prop_map(Leaf::Number),
        1 => number().prop_map(Leaf::Negative),
        3 => name().prop_map(Leaf::Property),
    ]
}

fn leaf(trees: impl Strategy<Value = Tree> + 'static) -> impl Strategy<Value = Leaf> {
    prop_oneof![
        4 => name().prop_map(Leaf::Property),
        2 => numeric(),
        2 => "[abx']{0,3}|true|[0-9]{1,2}".prop_map(Leaf::Text),
        2 => trees.prop_map(|tree| Leaf::Tree(Box::new(operand(tree)))),
    ]
}

/// A literal may not stand everywhere, and a property in parentheses is a property still; their opposites are conditions.
fn operand(tree: Tree) -> Tree {
    match tree {
        Tree::Constant(_) | Tree::Bare(_) => Tree::Not(Box::new(tree)),
        tree => tree,
    }
}

pub(super) fn trees() -> impl Strategy<Value = Tree> {
    let simple = prop_oneof![
        1 => any::<Option<bool>>().prop_map(Tree::Constant),
        1 => name().prop_map(Tree::Bare),
        4 => (name(), prop::sample::select(vec!["<", "<=", ">", ">="]), numeric())
            .prop_map(|(name, order, right)| Tree::Order(Leaf::Property(name), order, right)),
        // Bounds that are both literals have to be in order.
        2 => (numeric(), name(), numeric(), any::<bool>())
            .prop_map(|(value, low, high, negated)| Tree::Between(value, Leaf::Property(low), high, negated)),
        2 => (name(), prop::collection::vec("[abx']{0,2}|[0-9]{1,2}", 1..7), any::<bool>())
            .prop_map(|(name, texts, negated)| Tree::In(name, texts, negated)),
    ];
    simple.prop_recursive(4, 40, 3, |inner| {
        let boxed = |tree| Box::new(tree);
        let places = prop::sample::select(vec!["CONTAINS", "STARTSWITH", "ENDSWITH"]);
        prop_oneof![
            2 => inner.clone().prop_map(move |tree| Tree::Not(boxed(tree))),
            4 => (inner.clone(), inner.clone()).prop_map(move |(l, r)| Tree::Both(boxed(l), boxed(r))),
            4 => (inner.clone(), inner.clone()).prop_map(move |(l, r)| Tree::Either(boxed(l), boxed(r))),
            2 => (leaf(inner.clone()), any::<bool>()).prop_map(|(leaf, negated)| Tree::IsNull(leaf, negated)),
            4 => (leaf(inner.clone()), leaf(inner.clone()), any::<bool>())
                .prop_map(|(left, right, negated)| Tree::Equal(left, right, negated)),
            2 => (leaf(inner), places, "[abx']{0,2}", any::<bool>())
                .prop_map(|(leaf, place, text, negated)| Tree::Search(leaf, place, text, negated)),
        ]
    })
}
