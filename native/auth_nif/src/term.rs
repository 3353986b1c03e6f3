//! Converts BEAM terms to `Value` and back.

use auth_store::codec::{Problem, is_shown};
use auth_store::value::{MAX_DEPTH, Value};
use rustc_hash::FxHashMap;
use rustler::types::atom::Atom;
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Binary, Encoder, Env, Error, MapIterator, NewBinary, NifResult, Term, TermType};

/// Reads a term as plain data, or says where it is not plain data.
pub fn to_value(term: Term<'_>) -> Result<Value, Problem> {
    read(term, MAX_DEPTH)
}

fn read(term: Term<'_>, depth: usize) -> Result<Value, Problem> {
    if depth == 0 {
        return Err(problem("nested too deep"));
    }
    match term.get_type() {
        TermType::Atom => Ok(atom_value(term)),
        TermType::Binary => bytes(term),
        TermType::Integer => integer(term),
        TermType::Float => term
            .decode()
            .map(Value::Float)
            .map_err(|_| problem("a float that cannot be read")),
        TermType::List => list(term, depth),
        TermType::Tuple => tuple(term, depth),
        TermType::Map => map(term, depth),
        TermType::Fun => Err(problem("a function cannot be saved")),
        TermType::Pid => Err(problem("a pid cannot be saved")),
        TermType::Port => Err(problem("a port cannot be saved")),
        TermType::Ref => Err(problem("a reference cannot be saved")),
        TermType::Unknown => Err(problem("a term of unknown type cannot be saved")),
    }
}

fn atom_value(term: Term<'_>) -> Value {
    // At this NIF version, names with characters beyond Latin-1 cannot be read. No schema has such
    // a name, so the atom is refused whatever it is called.
    match term.atom_to_string() {
        Ok(name) => Value::atom(name),
        Err(_) => Value::Atom("".into()),
    }
}

fn bytes(term: Term<'_>) -> Result<Value, Problem> {
    // A bitstring has the same type, and fails here.
    Binary::from_term(term)
        .map(|binary| Value::Binary(binary.as_slice().to_vec()))
        .map_err(|_| problem("a bitstring cannot be saved"))
}

fn integer(term: Term<'_>) -> Result<Value, Problem> {
    if let Ok(int) = term.decode::<i64>() {
        return Ok(Value::Int(int.into()));
    }
    term.decode::<u64>()
        .map(|int| Value::Int(int.into()))
        .map_err(|_| problem("an integer beyond 64 bits cannot be saved"))
}

fn list(term: Term<'_>, depth: usize) -> Result<Value, Problem> {
    let length = term
        .list_length()
        .map_err(|_| problem("an improper list cannot be saved"))?;
    let iterator = term
        .into_list_iterator()
        .map_err(|_| problem("a list that cannot be read"))?;
    let mut items = Vec::with_capacity(length);
    for item in iterator {
        items.push(read(item, depth - 1).map_err(|problem| within("[]", problem))?);
    }
    Ok(Value::List(items))
}

fn tuple(term: Term<'_>, depth: usize) -> Result<Value, Problem> {
    let items = get_tuple(term).map_err(|_| problem("a tuple that cannot be read"))?;
    items
        .into_iter()
        .map(|item| read(item, depth - 1).map_err(|problem| within("{}", problem)))
        .collect::<Result<_, _>>()
        .map(Value::Tuple)
}

fn map(term: Term<'_>, depth: usize) -> Result<Value, Problem> {
    let iterator = MapIterator::new(term).ok_or_else(|| problem("a map that cannot be read"))?;
    let mut pairs = Vec::new();
    for (key, value) in iterator {
        let key = read(key, depth - 1).map_err(|problem| within("[]", problem))?;
        let value = match read(value, depth - 1) {
            Ok(value) => value,
            Err(problem) => return Err(within(member_name(&key), problem)),
        };
        pairs.push((key, value));
    }
    Ok(Value::Map(pairs))
}

fn problem(text: &str) -> Problem {
    Problem {
        member: String::new(),
        problem: text.to_owned(),
    }
}

/// The name of a member. Atoms are names, and so are strings that can be nothing else. Any other
/// key may be data of the account.
fn member_name(key: &Value) -> &str {
    match key {
        Value::Atom(name) => name,
        Value::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(name) if is_shown(name) => name,
            _ => "[]",
        },
        _ => "[]",
    }
}

/// The problem as seen from one level above.
pub fn within(member: &str, problem: Problem) -> Problem {
    let separator = match problem.member.chars().next() {
        None | Some('[' | '{') => "",
        Some(_) => ".",
    };
    Problem {
        member: format!("{member}{separator}{}", problem.member),
        problem: problem.problem,
    }
}

/// Makes the term of a value. The atoms that it creates come from the schema, never from a file.
pub fn from_value<'a>(env: Env<'a>, value: &Value) -> NifResult<Term<'a>> {
    Terms {
        env,
        atoms: FxHashMap::default(),
    }
    .of(value)
}

/// Makes terms, and remembers the atoms of the value: they repeat, and the BEAM takes a lock to
/// look one up. They do not come from a file, so nobody can choose names whose hashes collide.
struct Terms<'a, 'v> {
    env: Env<'a>,
    atoms: FxHashMap<&'v str, Term<'a>>,
}

impl<'a, 'v> Terms<'a, 'v> {
    fn of(&mut self, value: &'v Value) -> NifResult<Term<'a>> {
        match value {
            Value::Nil => Ok(rustler::types::atom::nil().encode(self.env)),
            Value::Bool(flag) => Ok(flag.encode(self.env)),
            Value::Int(int) => integer_term(self.env, *int),
            Value::Float(float) => Ok(float.encode(self.env)),
            Value::Atom(name) => self.atom(name),
            Value::Binary(bytes) => Ok(binary_term(self.env, bytes)),
            Value::List(items) => self.all(items).map(|items| items.encode(self.env)),
            Value::Tuple(items) => self.all(items).map(|items| make_tuple(self.env, &items)),
            Value::Map(pairs) => self.map(pairs),
        }
    }

    fn atom(&mut self, name: &'v str) -> NifResult<Term<'a>> {
        if let Some(term) = self.atoms.get(name) {
            return Ok(*term);
        }
        let term = Atom::from_str(self.env, name)?.encode(self.env);
        self.atoms.insert(name, term);
        Ok(term)
    }

    fn all(&mut self, values: &'v [Value]) -> NifResult<Vec<Term<'a>>> {
        values.iter().map(|value| self.of(value)).collect()
    }

    fn map(&mut self, pairs: &'v [(Value, Value)]) -> NifResult<Term<'a>> {
        let mut keys = Vec::with_capacity(pairs.len());
        let mut values = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            keys.push(self.of(key)?);
            values.push(self.of(value)?);
        }
        Term::map_from_term_arrays(self.env, &keys, &values)
    }
}

fn integer_term(env: Env<'_>, int: i128) -> NifResult<Term<'_>> {
    if let Ok(int) = i64::try_from(int) {
        return Ok(int.encode(env));
    }
    u64::try_from(int)
        .map(|int| int.encode(env))
        .map_err(|_| Error::BadArg)
}

pub fn binary_term<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}
