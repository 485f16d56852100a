// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text to statements, for the subset of hush that the selector is written in.

use std::collections::VecDeque;

/// Statements run one after the other.
pub type List = Vec<Statement>;

/// One statement.
#[derive(Debug)]
pub enum Statement {
    /// A simple command.
    Command(Vec<Word>),
    /// `if … then … elif … then … else … fi`.
    If { arms: Vec<(List, List)>, otherwise: List },
    /// `for … in …; do …; done`.
    For { name: String, words: Vec<Word>, body: List },
}

/// A word before expansion.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// Its parts.
    pub pieces: Vec<Piece>,
}

/// Literal text or a variable.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Literal text.
    pub text: String,
    /// Name of a variable instead.
    pub variable: Option<String>,
    /// Whether it stands in double quotes.
    pub quoted: bool,
}

impl Word {
    /// A bare word that may be a keyword.
    fn bare(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece { text, variable: None, quoted: false }] => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Token {
    Word(Word),
    Separator,
}

/// Parses a whole script.
pub fn parse_list(text: &str) -> List {
    let mut tokens = tokenize(text);
    let list = statements(&mut tokens, &[]);
    assert!(tokens.is_empty(), "statements left over: {tokens:?}");
    list
}

fn tokenize(text: &str) -> VecDeque<Token> {
    let mut tokens = VecDeque::new();
    let mut word = Word::default();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(letter) = chars.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                // Even nothing in quotes is a word.
                word.pieces.push(Piece { text: String::new(), variable: None, quoted: true });
            }
            '$' => {
                assert_eq!(chars.next(), Some('{'), "only ${{name}} in {text}");
                let name: String = chars.by_ref().take_while(|letter| *letter != '}').collect();
                let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                assert!(!name.is_empty() && name.chars().all(plain), "variable {name:?}");
                word.pieces.push(Piece { text: String::new(), variable: Some(name), quoted });
            }
            ' ' | '\n' | ';' if !quoted => {
                end_word(&mut word, &mut tokens);
                if letter != ' ' {
                    tokens.push_back(Token::Separator);
                }
            }
            '\'' | '\\' | '`' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '#' | '!'
                if !(letter == '!' && chars.peek() == Some(&'=')) =>
            {
                panic!("{letter} is outside the subset: {text}");
            }
            _ => match word.pieces.last_mut() {
                Some(piece) if piece.variable.is_none() && piece.quoted == quoted => {
                    piece.text.push(letter);
                }
                _ => {
                    let text = letter.to_string();
                    word.pieces.push(Piece { text, variable: None, quoted });
                }
            },
        }
    }
    assert!(!quoted, "a quote is not closed: {text}");
    end_word(&mut word, &mut tokens);
    tokens
}

fn end_word(word: &mut Word, tokens: &mut VecDeque<Token>) {
    if !word.pieces.is_empty() {
        tokens.push_back(Token::Word(std::mem::take(word)));
    }
}

fn next_keyword(tokens: &VecDeque<Token>) -> Option<&str> {
    match tokens.front() {
        Some(Token::Word(word)) => word.bare(),
        Some(Token::Separator) | None => None,
    }
}

/// Statements up to (not including) one of the words in `until`.
fn statements(tokens: &mut VecDeque<Token>, until: &[&str]) -> List {
    let mut list = List::new();
    loop {
        while matches!(tokens.front(), Some(Token::Separator)) {
            tokens.pop_front();
        }
        if tokens.is_empty() {
            assert!(until.is_empty(), "{until:?} is missing");
            return list;
        }
        match next_keyword(tokens) {
            Some(word) if until.contains(&word) => return list,
            Some("if") => list.push(parse_if(tokens)),
            Some("for") => list.push(parse_for(tokens)),
            Some(word @ ("then" | "elif" | "else" | "fi" | "do" | "done" | "while" | "until")) => {
                panic!("{word} is out of place");
            }
            _ => list.push(Statement::Command(words(tokens))),
        }
    }
}

fn words(tokens: &mut VecDeque<Token>) -> Vec<Word> {
    let mut words = Vec::new();
    while let Some(Token::Word(_)) = tokens.front() {
        if let Some(Token::Word(word)) = tokens.pop_front() {
            words.push(word);
        }
    }
    words
}

fn expect(tokens: &mut VecDeque<Token>, keyword: &str) {
    assert_eq!(next_keyword(tokens), Some(keyword));
    tokens.pop_front();
}

fn parse_if(tokens: &mut VecDeque<Token>) -> Statement {
    let mut arms = Vec::new();
    let mut otherwise = List::new();
    expect(tokens, "if");
    loop {
        let condition = statements(tokens, &["then"]);
        expect(tokens, "then");
        let body = statements(tokens, &["elif", "else", "fi"]);
        arms.push((condition, body));
        match next_keyword(tokens) {
            Some("elif") => expect(tokens, "elif"),
            Some("else") => {
                expect(tokens, "else");
                otherwise = statements(tokens, &["fi"]);
                break;
            }
            _ => break,
        }
    }
    expect(tokens, "fi");
    Statement::If { arms, otherwise }
}

fn parse_for(tokens: &mut VecDeque<Token>) -> Statement {
    expect(tokens, "for");
    let name = next_keyword(tokens).expect("a loop variable").to_owned();
    tokens.pop_front();
    expect(tokens, "in");
    let words = words(tokens);
    while matches!(tokens.front(), Some(Token::Separator)) {
        tokens.pop_front();
    }
    expect(tokens, "do");
    let body = statements(tokens, &["done"]);
    expect(tokens, "done");
    Statement::For { name, words, body }
}
