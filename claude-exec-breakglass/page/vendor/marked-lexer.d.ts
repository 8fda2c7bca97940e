export class Lexer {
  lex(source: string): any[];
}
