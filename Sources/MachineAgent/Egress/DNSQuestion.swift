/// The one question of a DNS query, and answers to it.
struct DNSQuestion {
    enum Kind: UInt16 {
        case ipv4Address = 1
        case ipv6Address = 28
    }

    enum Outcome: UInt8 {
        case success = 0
        case formatError = 1
        case failure = 2
        case noSuchName = 3
        case notImplemented = 4
        case refused = 5
    }

    /// Of a message that we read; questions are short.
    static let limit = 1_024

    private let id: ArraySlice<UInt8>
    private let wantsRecursion: Bool
    /// As it came, in its own case.
    private let question: ArraySlice<UInt8>
    /// With dots; nil for one that has a dot or something unprintable in a label.
    let name: String?
    /// nil for every other kind of record.
    let type: Kind?
    let isInternet: Bool

    /// Reads a standard query with one question; nothing behind it but what EDNS adds.
    init?(_ message: [UInt8]) {
        guard (12...Self.limit).contains(message.count), Self.isQuery(message), message[2] & 0x78 == 0 else { return nil }
        func number(_ at: Int) -> Int { Int(message[at]) << 8 | Int(message[at + 1]) }
        guard number(4) == 1, number(6) == 0, number(8) == 0, number(10) <= 1 else { return nil }
        var at = 12
        var labels: [ArraySlice<UInt8>] = []
        while true {
            guard at < message.count else { return nil }
            let length = Int(message[at])
            // No compression: there is nothing in front of a question to point to.
            guard length < 64, at + 1 + length <= message.count else { return nil }
            at += 1
            if length == 0 { break }
            labels.append(message[at..<at + length])
            at += length
            guard at - 12 < 255 else { return nil }
        }
        guard at + 4 <= message.count else { return nil }
        id = message[0..<2]
        wantsRecursion = message[2] & 1 == 1
        question = message[12..<at + 4]
        type = Kind(rawValue: UInt16(number(at)))
        isInternet = number(at + 2) == 1
        let isPlain = labels.allSatisfy { $0.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ".") } }
        name = isPlain ? labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".") : nil
    }

    private static func isQuery(_ message: [UInt8]) -> Bool { message[2] & 0x80 == 0 }

    /// What a message gets that is no question; answers get none, or two could talk for ever.
    static func malformed(_ message: [UInt8]) -> [UInt8]? {
        guard message.count >= 12, isQuery(message) else { return nil }
        let isOther = message[2] & 0x78 != 0
        let outcome: Outcome = isOther ? .notImplemented : .formatError
        return [message[0], message[1], 0x80 | message[2] & 0x79, 0x80 | outcome.rawValue] + [UInt8](repeating: 0, count: 8)
    }

    /// - Parameter address: in host order.
    func answer(_ outcome: Outcome, address: UInt32? = nil) -> [UInt8] {
        var answer = Array(id)
        // An answer, by whom it is for (authoritative); recursion is had.
        answer += [0x84 | (wantsRecursion ? 1 : 0), 0x80 | outcome.rawValue]
        answer += [0, 1, 0, address == nil ? 0 : 1, 0, 0, 0, 0]
        answer += question
        guard let address else { return answer }
        // The question's name, an address of the internet, for a minute, four bytes.
        answer += [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]
        answer += (0..<4).map { UInt8(truncatingIfNeeded: address >> (24 - 8 * UInt32($0))) }
        return answer
    }
}
