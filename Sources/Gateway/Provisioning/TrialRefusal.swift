import JSONText
import MachineAPI

/// What a machine did not let a server do.
public struct TrialRefusal: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        /// A host by name, or one of its ports.
        case host
        /// A path: to be written, or to be read by others alone.
        case path
        /// A path of places that an author's machine has and a hosted one has not.
        case absent
        /// An address without a name.
        case address
        /// A system call.
        case call
        /// A limit of the machine that was reached.
        case limit
        /// Nothing of the others was found out: the kernel does not let it.
        case off
    }

    public var kind: Kind
    /// The host, path or address; of a call or a limit its name.
    public var subject: String
    /// The system call, and the kernel's error.
    public var call: String?
    public var error: String?
    /// Of a host: how often, why, and the option that would allow it.
    public var count: Int?
    public var reason: String?
    public var option: String?

    /// A name that nobody has (RFC 6761), for a list that is to allow nothing.
    static let noHost = "nothing.invalid"
    private static let mark = "berth-trace: "

    init(_ host: RefusedHost) {
        kind = .host
        subject = host.port == 0 ? host.host : "\(host.host):\(host.port)"
        (count, reason, option) = (host.count, host.reason, host.option)
    }

    /// - Parameter line: what follows the mark: `KIND CALL ERROR [SUBJECT]`. Whatever else a server writes behind the mark is passed over.
    private init?(_ line: Substring) {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map { Printable.line(String($0)) }
        guard words.count >= 3, let kind = Kind(rawValue: words[0]), kind != .host, words[1].utf8.count <= 32, words[2].utf8.count <= 32 else { return nil }
        self.kind = kind
        (call, error) = (words[1], words[2])
        subject = words.count > 3 && !words[3].isEmpty ? String(words[3].prefix(300)) : words[1]
    }

    /// The tracer's lines of a machine's log, each once; 256 at most.
    static func all(inLog log: String) -> [TrialRefusal] {
        var found: [TrialRefusal] = []
        for line in log.split(separator: "\n") {
            guard let range = line.firstRange(of: mark), let refusal = TrialRefusal(line[range.upperBound...]), !found.contains(refusal) else { continue }
            found.append(refusal)
            if found.count == 256 { break }
        }
        return found
    }

    /// Of a machine that has ended its log alone tells which hosts were refused to it: its agent's lines, which no server can write.
    static func hosts(inLog log: String) -> [TrialRefusal] {
        var found: [TrialRefusal] = []
        for line in log.split(separator: "\n") {
            guard let sentence = ["warning: egress refused: ", "warning: egress failed: "].lazy.compactMap({ line.hasPrefix($0) ? line.dropFirst($0.count) : nil }).first
            else { continue }
            let parts = sentence.split(separator: " ", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            let reason = parts[1].split(separator: ";", maxSplits: 1).map(String.init)
            let option = reason.count == 2 ? reason[1].firstRange(of: ": ").map { String(reason[1][$0.upperBound...]) } : nil
            let host = RefusedHost(host: Printable.line(parts[0]), port: 0, reason: Printable.line(reason[0]), count: 1, option: option.map(Printable.line))
            let refusal = TrialRefusal(host)
            if !found.contains(refusal) { found.append(refusal) }
            if found.count == 256 { break }
        }
        return found
    }

    /// What a server itself wrote.
    static func without(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.contains(mark) }.joined(separator: "\n")
    }

    var json: JSONValue {
        .record(
            ("kind", .string(kind.rawValue)), ("subject", .string(subject)), ("call", call.map { .string($0) }), ("error", error.map { .string($0) }),
            ("count", count.map { .int($0) }), ("reason", reason.map { .string($0) }), ("option", option.map { .string($0) }))
    }
}
