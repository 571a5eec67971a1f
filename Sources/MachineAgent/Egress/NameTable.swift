import Door

/// The address that stands for each allowed name inside the machine: one of 198.18.0.0/15, the same one for the whole boot.
struct NameTable {
    /// Names at most; a suffix of the list has as many names as a server can think of.
    static let capacity = 4_096

    private var addresses: [String: UInt32] = [:]
    private var names: [String] = []
    /// 198.18.0.1
    private static let first: UInt32 = 198 << 24 | 18 << 16 | 1

    /// - Parameter name: in the form of ``HostName/normal(_:)``, and allowed.
    /// - Returns: in host order; nil when there are no more.
    mutating func address(of name: String) -> UInt32? {
        if let address = addresses[name] { return address }
        guard names.count < Self.capacity else { return nil }
        let address = Self.first + UInt32(names.count)
        addresses[name] = address
        names.append(name)
        return address
    }

    func name(at address: UInt32) -> String? {
        guard address >= Self.first, address - Self.first < UInt32(names.count) else { return nil }
        return names[Int(address - Self.first)]
    }
}

/// Answers the machine's questions for names (RFC 1035): allowed ones have one address each, everything else does not exist.
struct NameService {
    let list: EgressList
    private(set) var table = NameTable()

    /// What there is to be told of a question.
    enum Told: Equatable { case refused(String), full(String) }

    init(list: EgressList) { self.list = list }

    /// - Returns: the answer, if the message deserves one, and what is to be told.
    mutating func answer(_ message: [UInt8]) -> (answer: [UInt8]?, told: Told?) {
        guard let question = DNSQuestion(message) else { return (DNSQuestion.malformed(message), nil) }
        guard question.isInternet else { return (question.answer(.refused), nil) }
        // A name that no host can have cannot be on the list either.
        guard let name = question.name.flatMap({ HostName.normal($0) }) else { return (question.answer(.noSuchName), nil) }
        guard list.covers(name) else {
            let isReverse = name.hasSuffix(".in-addr.arpa") || name.hasSuffix(".ip6.arpa")
            // Every look-up asks for both families; it is one refusal.
            let isCounted = !isReverse && question.type != .ipv6Address
            return (question.answer(.noSuchName), isCounted ? .refused(name) : nil)
        }
        guard question.type == .ipv4Address else { return (question.answer(.success), nil) }
        guard let address = table.address(of: name) else { return (question.answer(.failure), .full(name)) }
        return (question.answer(.success, address: address), nil)
    }
}
