/// One member of an object: its key (quotes included) and its value.
public struct JSONMember: Sendable, Equatable {
    public var key: JSONSpan
    public var value: JSONSpan
    /// Only an escape can make different bytes the same key.
    var keyHasEscapes = false

    /// Whether the key, unescaped, is `name`.
    public func hasKey(_ name: StaticString, in text: RawSpan) -> Bool {
        keyHasEscapes ? keyString(in: text) == name.description : text.matches((key.start + 1)..<(key.end - 1), name)
    }

    /// Whether the key, unescaped, begins with `prefix`.
    public func hasKeyPrefix(_ prefix: StaticString, in text: RawSpan) -> Bool {
        if keyHasEscapes { return keyString(in: text)?.hasPrefix(prefix.description) == true }
        return text.starts((key.start + 1)..<(key.end - 1), with: prefix)
    }

    /// The key, unescaped; `nil` when it holds a lone surrogate.
    public func keyString(in text: RawSpan) -> String? {
        JSONString.unquote(key, in: text)
    }
}

/// Walks the members of one object, level by level on demand. The text should have been scanned before.
public struct JSONMembers: Sendable {
    private var position: Int
    private var started = false
    private var ended = false

    public init(of object: JSONSpan) {
        position = object.start
    }

    /// The next member, or `nil` after the last.
    public mutating func next(in text: RawSpan) throws(ScanError) -> JSONMember? {
        guard !ended else { return nil }
        var lexer = JSONLexer(position: position)
        let more = started ? try lexer.moreMembers(text) : try lexer.openObject(text)
        started = true
        guard more else {
            ended = true
            return nil
        }
        let key = try lexer.key(text)
        let value = try lexer.value(text, depth: 0)
        position = lexer.position
        return JSONMember(key: key.span, value: value, keyHasEscapes: key.hasEscapes)
    }

    /// The value of the first member of `object` called `name`.
    public static func value(of name: StaticString, object: JSONSpan, in text: RawSpan) throws(ScanError) -> JSONSpan? {
        var members = JSONMembers(of: object)
        while let member = try members.next(in: text) {
            if member.hasKey(name, in: text) { return member.value }
        }
        return nil
    }
}

/// Walks the elements of one array.
public struct JSONElements: Sendable {
    private var position: Int
    private var started = false
    private var ended = false

    public init(of array: JSONSpan) {
        position = array.start
    }

    /// The next element, or `nil` after the last.
    public mutating func next(in text: RawSpan) throws(ScanError) -> JSONSpan? {
        guard !ended else { return nil }
        var lexer = JSONLexer(position: position)
        if started {
            ended = try !lexer.more(text, closing: UInt8(ascii: "]"))
        } else {
            try lexer.expect(UInt8(ascii: "["), text)
            ended = try lexer.peek(text) == UInt8(ascii: "]")
        }
        started = true
        if ended { return nil }
        let element = try lexer.value(text, depth: 0)
        position = lexer.position
        return element
    }
}
