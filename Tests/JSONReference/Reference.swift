/// A second reading of RFC 8259, written another way on purpose: over Unicode scalars of a validated string, recursive, building values.
/// The scanner is held against it.
public struct Reference {
    /// A value. Texts are kept as UTF-8: Swift takes two for equal that another reader tells apart.
    public enum Value: Equatable {
        case null
        case bool(Bool)
        case number(String)
        case string([UInt8])
        case array([Value])
        case object([Pair])
    }
    public struct Pair: Equatable {
        public var key: [UInt8]
        public var value: Value

        public init(key: [UInt8], value: Value) {
            self.key = key
            self.value = value
        }
    }
    struct Refused: Error {}

    private var rest: [Unicode.Scalar]
    private var at = 0

    /// The value of a whole text, or `nil` when it is not JSON of at most `depth` levels without lone surrogates.
    public static func parse(_ bytes: [UInt8], depth: Int = 64) -> Value? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var parser = Reference(rest: Array(text.unicodeScalars))
        guard let value = try? parser.value(depth) else { return nil }
        parser.space()
        return parser.at == parser.rest.count ? value : nil
    }

    private mutating func next() throws -> Unicode.Scalar {
        guard at < rest.count else { throw Refused() }
        defer { at += 1 }
        return rest[at]
    }

    private var peek: Unicode.Scalar? { at < rest.count ? rest[at] : nil }

    private mutating func space() {
        while let scalar = peek, " \t\r\n".unicodeScalars.contains(scalar) { at += 1 }
    }

    private mutating func word(_ word: String) throws {
        for scalar in word.unicodeScalars where try next() != scalar { throw Refused() }
    }

    private mutating func value(_ depth: Int) throws -> Value {
        space()
        switch peek {
        case "n":
            try word("null")
            return .null
        case "t":
            try word("true")
            return .bool(true)
        case "f":
            try word("false")
            return .bool(false)
        case "\"": return .string(try string())
        case "[": return .array(try array(depth))
        case "{": return .object(try object(depth))
        default: return .number(try number())
        }
    }

    private mutating func array(_ depth: Int) throws -> [Value] {
        guard depth > 0 else { throw Refused() }
        try word("[")
        space()
        var out: [Value] = []
        if peek == "]" {
            at += 1
        } else {
            while true {
                out.append(try value(depth - 1))
                space()
                let mark = try next()
                if mark == "]" { break }
                guard mark == "," else { throw Refused() }
            }
        }
        return out
    }

    private mutating func object(_ depth: Int) throws -> [Pair] {
        guard depth > 0 else { throw Refused() }
        try word("{")
        space()
        var out: [Pair] = []
        if peek == "}" {
            at += 1
        } else {
            while true {
                space()
                let key = try string()
                space()
                try word(":")
                out.append(Pair(key: key, value: try value(depth - 1)))
                space()
                let mark = try next()
                if mark == "}" { break }
                guard mark == "," else { throw Refused() }
            }
        }
        return out
    }

    private mutating func number() throws -> String {
        var text = ""
        func digit(_ scalar: Unicode.Scalar?) -> Bool { scalar.map { ("0"..."9").contains($0) } ?? false }
        func take(_ parser: inout Reference) {
            text.unicodeScalars.append(parser.rest[parser.at])
            parser.at += 1
        }
        if peek == "-" { take(&self) }
        guard digit(peek) else { throw Refused() }
        if peek == "0" { take(&self) } else { while digit(peek) { take(&self) } }
        if peek == "." {
            take(&self)
            guard digit(peek) else { throw Refused() }
            while digit(peek) { take(&self) }
        }
        if peek == "e" || peek == "E" {
            take(&self)
            if peek == "+" || peek == "-" { take(&self) }
            guard digit(peek) else { throw Refused() }
            while digit(peek) { take(&self) }
        }
        return text
    }

    private mutating func string() throws -> [UInt8] {
        try word("\"")
        var units: [UInt16] = []
        while true {
            let scalar = try next()
            if scalar == "\"" { break }
            guard scalar.value >= 0x20 else { throw Refused() }
            guard scalar == "\\" else {
                units += Array(String(Character(scalar)).utf16)
                continue
            }
            let code = try next()
            switch code {
            case "\"", "\\", "/": units.append(UInt16(code.value))
            case "b": units.append(8)
            case "f": units.append(12)
            case "n": units.append(10)
            case "r": units.append(13)
            case "t": units.append(9)
            case "u":
                var hex = ""
                for _ in 0..<4 { hex.unicodeScalars.append(try next()) }
                guard hex.unicodeScalars.allSatisfy({ ("0"..."9").contains($0) || ("a"..."f").contains($0) || ("A"..."F").contains($0) }),
                    let unit = UInt16(hex, radix: 16)
                else { throw Refused() }
                units.append(unit)
            default: throw Refused()
            }
        }
        // Half a pair, wherever it came from, makes the UTF-16 text invalid.
        guard let text = String(validating: units, as: UTF16.self) else { throw Refused() }
        return Array(text.utf8)
    }
}

extension Reference.Value {
    /// Whether an object in it has one key twice.
    public var hasDuplicateKeys: Bool {
        switch self {
        case .array(let elements): elements.contains(where: \.hasDuplicateKeys)
        case .object(let pairs): Set(pairs.map(\.key)).count < pairs.count || pairs.contains(where: \.value.hasDuplicateKeys)
        default: false
        }
    }

    /// The first member of that name, if it is an object.
    public subscript(key: String) -> Self? {
        if case .object(let pairs) = self { pairs.first { $0.key == Array(key.utf8) }?.value } else { nil }
    }

    /// How many members of an object have that name.
    public func count(of key: String) -> Int {
        if case .object(let pairs) = self { pairs.count { $0.key == Array(key.utf8) } } else { 0 }
    }

    public static func text(_ string: String) -> Self { .string(Array(string.utf8)) }
}
