//! From tokens to an expression.
//!
//! By rising precedence: OR, AND, then = <> IS, then the comparisons, BETWEEN, IN and searches, then NOT + -, which bind
//! tightest: `NOT a = b` is `(NOT a) = b`. Operators of one level are taken from the left. The next token always tells what to
//! do, so nothing is read twice, and a rule that has begun and fails ends it all.

use std::iter;

use winnow::Result;
use winnow::combinator::{delimited, opt, preceded, repeat, separated};
use winnow::prelude::*;
use winnow::stream::{Stateful, TokenSlice};
use winnow::token::any;

use super::error::{Cause, Fault, SqlError};
use super::expression::{Condition, Literal, Operand, Order, Place, Property, Rule, between, equal};
use super::tokens::{Kind, Token};
use super::{DEPTH_MAX, NODES_MAX, SLOTS};

pub(super) type Input<'t, 'a> = Stateful<TokenSlice<'t, Token<'a>>, Measure<'a>>;
type Parsed<'a, T = Part<'a>> = Result<T, Fault<'a>>;

const WHOLE_RANGE: &str = "whole numbers go up to 9223372036854775807";
const DECIMAL_RANGE: &str = "numbers with a point go from 4.9E-324 to 1.7976931348623157E308; zero is 0";

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Measure<'a> {
    /// Parentheses and signs that are open.
    depth: usize,
    nodes: usize,
    /// The properties that have a slot, in the order of their slots.
    names: Vec<&'a str>,
}

/// A part of the expression, and the token to point at when it is in the wrong place.
struct Part<'a> {
    operand: Operand,
    token: Token<'a>,
    /// Levels of operators, one above the other.
    height: usize,
}

/// The condition that `tokens` state, and the character from which on they were not read: like Java we do not ask that an
/// expression ends where the text does.
pub(super) fn parse(tokens: &[Token<'_>]) -> Result<(Condition, Option<usize>), SqlError> {
    let mut input = Input { input: TokenSlice::new(tokens), state: Measure::default() };
    let condition = disjunction(&mut input)?.into_condition()?;
    let next = next(&input);
    if next.kind.is_none() {
        return Err(Fault { cause: Cause::Expected("the end"), token: next }.into());
    }
    Ok((condition, (next.kind != Kind::End).then_some(next.at)))
}

fn disjunction<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let first = conjunction(input)?;
    let others = repeat(0.., preceded(is(Kind::Or), conjunction)).parse_next(input)?;
    join(input, first, others, Condition::Any)
}

fn conjunction<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let first = equality(input)?;
    let others = repeat(0.., preceded(is(Kind::And), equality)).parse_next(input)?;
    join(input, first, others, Condition::All)
}

/// A part that stands alone stays what it is; several have to be conditions.
fn join<'a>(
    input: &mut Input<'_, 'a>,
    first: Part<'a>,
    others: Vec<Part<'a>>,
    joined: fn(Vec<Condition>) -> Condition,
) -> Parsed<'a> {
    if others.is_empty() {
        return Ok(first);
    }
    let token = first.token;
    let height = others.iter().map(|part| part.height).fold(first.height, usize::max);
    let conditions = iter::once(first).chain(others).map(Part::into_condition).collect::<Parsed<'_, _>>()?;
    part(input, joined(conditions), token, height)
}

fn equality<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let mut left = comparison(input)?;
    let operators = |kind| matches!(kind, Kind::Equal | Kind::NotEqual | Kind::Is);
    while let Some(operator) = opt(one(operators)).parse_next(input)? {
        let Part { operand, token, height } = left;
        let (condition, negated, height) = if operator.kind == Kind::Is {
            let negated = opt(is(Kind::Not)).parse_next(input)?.is_some();
            let wanted = if negated { "NULL" } else { "NULL or NOT NULL" };
            expect(Kind::Null, wanted).parse_next(input)?;
            (Condition::IsNull(operand), negated, height)
        } else {
            let right = comparison(input)?;
            let condition = equal(operand, right.operand).map_err(|rule| misuse(rule, operator))?;
            (condition, operator.kind == Kind::NotEqual, height.max(right.height))
        };
        let condition = if negated { Condition::Not(Box::new(condition)) } else { condition };
        left = part(input, condition, token, height)?;
    }
    Ok(left)
}

fn comparison<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let mut left = prefixed(input)?;
    while let Some(operator) = opt(one(is_comparison)).parse_next(input)? {
        left = match order(operator.kind) {
            Some(order) => {
                let right = prefixed(input)?;
                let (token, height) = (left.token, left.height.max(right.height));
                let condition = Condition::Order(left.into_number()?, order, right.into_number()?);
                part(input, condition, token, height)?
            }
            None if operator.kind == Kind::Not => {
                let wanted = "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH";
                let test = expected(one(is_test), wanted).parse_next(input)?;
                tested(input, left, test, true)?
            }
            None => tested(input, left, operator, false)?,
        };
    }
    Ok(left)
}

fn order(kind: Kind<'_>) -> Option<Order> {
    match kind {
        Kind::Less => Some(Order::Less),
        Kind::LessOrEqual => Some(Order::LessOrEqual),
        Kind::Greater => Some(Order::Greater),
        Kind::GreaterOrEqual => Some(Order::GreaterOrEqual),
        _ => None,
    }
}

fn place(kind: Kind<'_>) -> Option<Place> {
    match kind {
        Kind::Contains => Some(Place::Anywhere),
        Kind::StartsWith => Some(Place::Start),
        Kind::EndsWith => Some(Place::End),
        _ => None,
    }
}

/// What may stand behind NOT.
fn is_test(kind: Kind<'_>) -> bool {
    matches!(kind, Kind::Between | Kind::In) || place(kind).is_some()
}

fn is_comparison(kind: Kind<'_>) -> bool {
    kind == Kind::Not || is_test(kind) || order(kind).is_some()
}

/// What follows `BETWEEN`, `IN` or the word of a search.
fn tested<'a>(input: &mut Input<'_, 'a>, left: Part<'a>, test: Token<'a>, negated: bool) -> Parsed<'a> {
    let Part { operand, token, height } = left;
    let misused = |rule| misuse(rule, test);
    if let Some(place) = place(test.kind) {
        let text = text(input)?;
        return part(input, Condition::Search { operand, place, text, negated }, token, height);
    }
    if test.kind == Kind::In {
        let property = operand.into_property().map_err(misused)?;
        let mut texts = delimited(
            expect(Kind::Open, "an opening parenthesis"),
            separated(1.., text, is(Kind::Comma)),
            expect(Kind::Close, "a comma or a closing parenthesis"),
        );
        let mut texts: Vec<Box<str>> = texts.parse_next(input)?;
        texts.sort_unstable();
        return part(input, Condition::In { property, texts, negated }, token, height);
    }
    let low = prefixed(input)?;
    expect(Kind::And, "AND").parse_next(input)?;
    let high = prefixed(input)?;
    let height = height.max(low.height).max(high.height);
    let condition = between(operand, low.operand, high.operand, negated).map_err(misused)?;
    part(input, condition, token, height)
}

fn prefixed<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let signs = |kind| matches!(kind, Kind::Plus | Kind::Minus | Kind::Not);
    let Some(sign) = opt(one(signs)).parse_next(input)? else { return primary(input) };
    let operand = nested(input, sign, prefixed)?;
    let height = operand.height;
    match sign.kind {
        Kind::Plus => Ok(operand),
        Kind::Not => part(input, Condition::Not(Box::new(operand.into_condition()?)), sign, height),
        _ => part(input, Operand::Negated(Box::new(operand.operand)), sign, height),
    }
}

fn primary<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a> {
    let token = *any.parse_next(input)?;
    let fault = |cause| Fault { cause, token };
    let literal = match token.kind {
        Kind::Open => {
            let group = nested(input, token, disjunction)?;
            expect(Kind::Close, "an operator or a closing parenthesis").parse_next(input)?;
            return Ok(group);
        }
        Kind::Name(name) => {
            let slot = input.state.slot(name);
            return part(input, Operand::Property(Property { name: name.into(), slot }), token, 0);
        }
        Kind::Text(source) => Literal::Text(unquoted(source)),
        Kind::Whole(digits) => whole(digits).ok_or(fault(Cause::OutOfRange(WHOLE_RANGE)))?,
        Kind::Decimal(digits) => decimal(digits).ok_or(fault(Cause::OutOfRange(DECIMAL_RANGE)))?,
        Kind::True => Literal::Boolean(true),
        Kind::False => Literal::Boolean(false),
        Kind::Null => Literal::Null,
        _ => return Err(fault(Cause::Expected("a property, a value or an opening parenthesis"))),
    };
    part(input, Operand::Literal(literal), token, 0)
}

fn whole(digits: &str) -> Option<Literal> {
    let number: i64 = digits.parse().ok()?;
    Some(i32::try_from(number).map_or(Literal::Long(number), Literal::Integer))
}

/// Java refuses zero here, as a number too small to be told from it.
fn decimal(digits: &str) -> Option<Literal> {
    let number: f64 = digits.parse().ok()?;
    (number > 0.0 && number.is_finite()).then_some(Literal::Double(number))
}

fn text<'a>(input: &mut Input<'_, 'a>) -> Parsed<'a, Box<str>> {
    let text = any.verify_map(|token: &Token<'a>| match token.kind {
        Kind::Text(source) => Some((*token, source)),
        _ => None,
    });
    let (token, source) = expected(text, "a text in single quotes").parse_next(input)?;
    input.state.count(token)?;
    Ok(unquoted(source))
}

fn unquoted(source: &str) -> Box<str> {
    source.replace("''", "'").into()
}

/// What stands behind a sign or within parentheses.
fn nested<'t, 'a>(
    input: &mut Input<'t, 'a>,
    token: Token<'a>,
    rule: fn(&mut Input<'t, 'a>) -> Parsed<'a>,
) -> Parsed<'a> {
    if input.state.depth == DEPTH_MAX {
        return Err(Fault { cause: Cause::TooDeep, token });
    }
    input.state.depth += 1;
    let part = rule(input)?;
    input.state.depth -= 1;
    Ok(part)
}

/// Every part of an expression is made here: one level above the highest of those it is made of.
fn part<'a>(
    input: &mut Input<'_, 'a>,
    operand: impl Into<Operand>,
    token: Token<'a>,
    height: usize,
) -> Parsed<'a> {
    input.state.count(token)?;
    if height == DEPTH_MAX {
        return Err(Fault { cause: Cause::TooDeep, token });
    }
    Ok(Part { operand: operand.into(), token, height: height + 1 })
}

fn one<'t, 'a: 't>(accepted: impl Fn(Kind<'a>) -> bool) -> impl Parser<Input<'t, 'a>, Token<'a>, Fault<'a>> {
    any.verify_map(move |token: &Token<'a>| accepted(token.kind).then_some(*token))
}

fn is<'t, 'a: 't>(kind: Kind<'a>) -> impl Parser<Input<'t, 'a>, Token<'a>, Fault<'a>> {
    one(move |found| found == kind)
}

fn expect<'t, 'a: 't>(
    kind: Kind<'a>,
    name: &'static str,
) -> impl Parser<Input<'t, 'a>, Token<'a>, Fault<'a>> {
    expected(is(kind), name)
}

/// Whatever else stands there is an error.
fn expected<'t, 'a: 't, T>(
    parser: impl Parser<Input<'t, 'a>, T, Fault<'a>>,
    name: &'static str,
) -> impl Parser<Input<'t, 'a>, T, Fault<'a>> {
    parser.map_err(move |fault| Fault { cause: Cause::Expected(name), ..fault })
}

/// The token that is read next; the last one is never read.
pub(super) fn next<'a>(input: &Input<'_, 'a>) -> Token<'a> {
    input.peek_token().copied().unwrap_or(Token { kind: Kind::End, source: "", at: 0 })
}

fn misuse(rule: Rule, token: Token<'_>) -> Fault<'_> {
    Fault { cause: Cause::Misuse(rule), token }
}

impl<'a> Part<'a> {
    fn into_condition(self) -> Parsed<'a, Condition> {
        let token = self.token;
        self.operand.into_condition().map_err(|rule| misuse(rule, token))
    }

    fn into_number(self) -> Parsed<'a, Operand> {
        let token = self.token;
        self.operand.into_number().map_err(|rule| misuse(rule, token))
    }
}

impl<'a> Measure<'a> {
    fn count<'b>(&mut self, token: Token<'b>) -> Parsed<'b, ()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Fault { cause: Cause::TooManyParts, token });
        }
        Ok(())
    }

    /// Where the value of a property is kept; `None` when there are too many.
    fn slot(&mut self, name: &'a str) -> Option<usize> {
        if let Some(slot) = self.names.iter().position(|known| *known == name) {
            return Some(slot);
        }
        let free = (self.names.len() < SLOTS).then_some(self.names.len())?;
        self.names.push(name);
        Some(free)
    }
}

impl From<Condition> for Operand {
    fn from(condition: Condition) -> Self {
        Self::Condition(Box::new(condition))
    }
}
