/// A small repeatable generator of numbers: a failing case names its seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// Makes JSON texts that a scanner might stumble over, and breaks them.
enum Generator {
    static let keys = [
        "id", "method", "params", "result", "error", "jsonrpc", "name", "uri", "_meta", "arguments", "progressToken", "Name", "x", "",
        "io.modelcontextprotocol/protocolVersion", "\\u0069d", "na\\u006de", "a\\/b", "é", "漢字", "ſ",
    ]
    static let strings = [
        "", "2.0", "tools/call", "tools\\/call", "plain text that is longer than one machine word", "quote \\\" and \\\\ slash",
        "\\u00e9\\ud83d\\ude00",
        "é漢字😀", "tab\\t", "\\ud800", "\\udc00x", "0123456\\\\", "01234567", "ends with backslash \\\\", "\u{10FFFF}", "a\\u0000b",
    ]
    static let scalars = [
        "null", "true", "false", "0", "-0", "1", "-17", "3.25", "1e3", "2E-2", "9007199254740993", "123456789012345678901234567890",
    ]

    static func value(_ random: inout Seeded, depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &random) {
        case 0, 1: return scalars.randomElement(using: &random) ?? "0"
        case 2, 3, 4: return string(&random)
        case 5, 6: return object(&random, depth: depth - 1)
        default:
            let elements = (0..<Int.random(in: 0...4, using: &random)).map { _ in value(&random, depth: depth - 1) }
            return "[" + elements.joined(separator: "," + space(&random)) + space(&random) + "]"
        }
    }

    static func object(_ random: inout Seeded, depth: Int) -> String {
        let members = (0..<Int.random(in: 0...6, using: &random)).map { _ in
            "\"\(keys.randomElement(using: &random) ?? "")\"" + space(&random) + ":" + space(&random) + value(&random, depth: depth)
        }
        return "{" + space(&random) + members.joined(separator: space(&random) + ",") + "}"
    }

    static func string(_ random: inout Seeded) -> String { "\"" + (strings.randomElement(using: &random) ?? "") + "\"" }

    static func space(_ random: inout Seeded) -> String { ["", "", "", " ", "\n", "\t\r "].randomElement(using: &random) ?? "" }

    /// A message with the members that a JSON-RPC message has, in any order.
    static func message(_ random: inout Seeded) -> String {
        var members = ["\"jsonrpc\":\"2.0\""]
        if Bool.random(using: &random) { members.append("\"id\":" + (["1", "\"a\"", "null", "1.5", "-3"].randomElement(using: &random) ?? "1")) }
        if Bool.random(using: &random) { members.append("\"method\":" + string(&random)) }
        if Bool.random(using: &random) { members.append("\"params\":" + object(&random, depth: 3)) }
        if Int.random(in: 0..<3, using: &random) == 0 { members.append("\"result\":" + value(&random, depth: 3)) }
        if Int.random(in: 0..<4, using: &random) == 0 {
            members.append("\"\(keys.randomElement(using: &random) ?? "")\":" + value(&random, depth: 3))
        }
        return "{" + members.shuffled(using: &random).joined(separator: ",") + "}" + space(&random)
    }

    /// One to three small damages.
    static func mutated(_ text: [UInt8], _ random: inout Seeded) -> [UInt8] {
        var bytes = text
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes.remove(at: index)
            case 1: bytes.insert(Array("{}[]\",:\\u0e-. \u{7F}".utf8).randomElement(using: &random) ?? 0, at: index)
            case 2: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 3: bytes.removeLast(Int.random(in: 0...min(5, bytes.count), using: &random))
            default: bytes.insert(contentsOf: bytes[index..<min(index + 6, bytes.count)], at: index)
            }
        }
        return bytes
    }
}
