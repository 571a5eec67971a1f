extension JSONValue {
    /// Parses a whole text, strictly; duplicate keys are refused at every level.
    public init(parsing text: RawSpan, limits: ScanLimits = ScanLimits()) throws(ScanError) {
        guard text.byteCount <= limits.maximumBytes else { throw ScanError(.tooLarge, at: limits.maximumBytes) }
        var lexer = JSONLexer(maximumDepth: limits.maximumDepth)
        self = try lexer.parse(text, depth: 0)
        lexer.skipWhitespace(text)
        guard lexer.position == text.byteCount else { throw ScanError(.trailingBytes, at: lexer.position) }
        if let offset = lexer.loneSurrogate { throw ScanError(.loneSurrogate, at: offset) }
    }

    public init(parsing text: [UInt8], limits: ScanLimits = ScanLimits()) throws(ScanError) {
        try self.init(parsing: text.span.bytes, limits: limits)
    }

    public init(parsing text: String, limits: ScanLimits = ScanLimits()) throws(ScanError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }

    /// The value's text, without white space.
    public func serialized() -> [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    /// `serialized()` as a string.
    public var text: String { String(decoding: serialized(), as: UTF8.self) }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .null: out += Array("null".utf8)
        case .bool(let value): out += Array((value ? "true" : "false").utf8)
        case .number(let text): out += Array(text.utf8)
        case .string(let value): JSONString.append(value, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                element.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSONString.append(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONLexer {
    /// Parses one value that lies inside `depth` containers. Recursion is bounded by the depth limit.
    fileprivate mutating func parse(_ text: RawSpan, depth: Int) throws(ScanError) -> JSONValue {
        let byte = try peek(text)
        let start = position
        switch byte {
        case UInt8(ascii: "\""):
            return .string(JSONString.string(try string(text), text))
        case UInt8(ascii: "{"):
            guard depth < maximumDepth else { throw ScanError(.tooDeep, at: start) }
            return .object(try parseObject(text, depth: depth + 1))
        case UInt8(ascii: "["):
            guard depth < maximumDepth else { throw ScanError(.tooDeep, at: start) }
            return .array(try parseArray(text, depth: depth + 1))
        default:
            let span = try value(text, depth: depth)
            switch byte {
            case UInt8(ascii: "t"): return .bool(true)
            case UInt8(ascii: "f"): return .bool(false)
            case UInt8(ascii: "n"): return .null
            default: return .number(text.extracting(span.range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
            }
        }
    }

    private mutating func parseObject(_ text: RawSpan, depth: Int) throws(ScanError) -> JSONObject {
        var members: [(key: String, value: JSONValue)] = []
        var keys = Set<CodePoints>()
        if try openObject(text) {
            repeat {
                let token = try key(text)
                let name = JSONString.string(token, text)
                guard keys.insert(CodePoints(text: name)).inserted else { throw ScanError(.duplicateKey, at: token.span.start) }
                members.append((name, try parse(text, depth: depth)))
            } while try moreMembers(text)
        }
        return JSONObject(unique: members)
    }

    private mutating func parseArray(_ text: RawSpan, depth: Int) throws(ScanError) -> [JSONValue] {
        var elements: [JSONValue] = []
        try expect(UInt8(ascii: "["), text)
        if try peek(text) == UInt8(ascii: "]") {
            position += 1
            return elements
        }
        repeat { elements.append(try parse(text, depth: depth)) } while try more(text, closing: UInt8(ascii: "]"))
        return elements
    }
}

/// A key as other readers of JSON compare it: by its code points. To Swift é in one code point and in two is the same.
struct CodePoints: Hashable {
    var text: String

    static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
