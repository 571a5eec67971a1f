extension EnvelopeScan {
    private struct ParamKeys: OptionSet {
        var rawValue: UInt16
        static let name = ParamKeys(rawValue: 1)
        static let uri = ParamKeys(rawValue: 2)
        static let arguments = ParamKeys(rawValue: 4)
        static let meta = ParamKeys(rawValue: 8)
        static let taskID = ParamKeys(rawValue: 16)
        static let requestID = ParamKeys(rawValue: 32)
        static let progressToken = ParamKeys(rawValue: 64)
        static let level = ParamKeys(rawValue: 128)
        static let protocolVersion = ParamKeys(rawValue: 256)
        static let capabilities = ParamKeys(rawValue: 512)
        static let clientInfo = ParamKeys(rawValue: 1024)
        static let requestState = ParamKeys(rawValue: 2048)
        static let inputResponses = ParamKeys(rawValue: 4096)
        static let notifications = ParamKeys(rawValue: 8192)
    }

    private struct MetaKeys: OptionSet {
        var rawValue: UInt8
        static let protocolVersion = MetaKeys(rawValue: 1)
        static let clientCapabilities = MetaKeys(rawValue: 2)
        static let clientInfo = MetaKeys(rawValue: 4)
        static let logLevel = MetaKeys(rawValue: 8)
        static let progressToken = MetaKeys(rawValue: 16)
        static let traceparent = MetaKeys(rawValue: 32)
        static let subscriptionID = MetaKeys(rawValue: 64)
    }

    mutating func params(_ text: RawSpan) throws(ScanError) {
        let start = lexer.position
        var seen = ParamKeys()
        if try lexer.openObject(text) {
            repeat { try param(text, &seen) } while try lexer.moreMembers(text)
        }
        envelope.params = JSONSpan(start: start, end: lexer.position)
    }

    private mutating func param(_ text: RawSpan, _ seen: inout ParamKeys) throws(ScanError) {
        let token = try lexer.key(text)
        let found: ParamKeys?
        if token.hasEscapes {
            let plain = JSONString.unescaped(token.content, in: text)
            found = paramKey(0..<plain.count, plain.span.bytes, at: token.span.start)
        } else {
            found = paramKey(token.content, text, at: token.span.start)
        }
        guard let key = found else {
            _ = try lexer.value(text, depth: 2)
            return
        }
        if seen.contains(key) {
            note(.duplicateKey, at: token.span.start)
            _ = try lexer.value(text, depth: 2)
            return
        }
        seen.insert(key)
        switch key {
        case .name:
            guard let value = try string(text, depth: 2) else { return }
            (envelope.name, envelope.nameSpan) = (JSONString.string(value, text), value.span)
        case .uri:
            guard let value = try string(text, depth: 2) else { return }
            (envelope.uri, envelope.uriSpan) = (JSONString.string(value, text), value.span)
        case .taskID: envelope.taskID = try string(text, depth: 2).map { JSONString.string($0, text) }
        case .level: envelope.level = try string(text, depth: 2).map { JSONString.string($0, text) }
        case .protocolVersion: envelope.initializeVersion = try string(text, depth: 2).map { JSONString.string($0, text) }
        case .arguments: envelope.arguments = try lexer.value(text, depth: 2)
        case .requestID: envelope.requestID = try identifier(text, depth: 2)
        case .progressToken: envelope.notificationProgressToken = try identifier(text, depth: 2)
        case .capabilities: envelope.initializeCapabilities = try object(text, depth: 2)
        case .clientInfo: envelope.initializeClientInfo = try object(text, depth: 2)
        case .requestState: envelope.requestState = try string(text, depth: 2)?.span
        case .inputResponses: envelope.inputResponses = try object(text, depth: 2)
        case .notifications: envelope.notifications = try object(text, depth: 2)
        default: try meta(text)
        }
    }

    private mutating func paramKey(_ range: Range<Int>, _ text: RawSpan, at offset: Int) -> ParamKeys? {
        if text.matches(range, "name") { return .name }
        if text.matches(range, "arguments") { return .arguments }
        if text.matches(range, "_meta") { return .meta }
        if text.matches(range, "uri") { return .uri }
        if text.matches(range, "taskId") { return .taskID }
        if text.matches(range, "requestId") { return .requestID }
        if text.matches(range, "progressToken") { return .progressToken }
        if text.matches(range, "level") { return .level }
        if text.matches(range, "protocolVersion") { return .protocolVersion }
        if text.matches(range, "capabilities") { return .capabilities }
        if text.matches(range, "clientInfo") { return .clientInfo }
        if text.matches(range, "requestState") { return .requestState }
        if text.matches(range, "inputResponses") { return .inputResponses }
        if text.matches(range, "notifications") { return .notifications }
        for key in ["name", "arguments", "_meta", "uri", "taskId"] as [StaticString] where text.matchesFolded(range, key) {
            note(.lookalikeKey, at: offset)
        }
        return nil
    }

    private mutating func meta(_ text: RawSpan) throws(ScanError) {
        let start = lexer.position
        guard text.byte(start) == UInt8(ascii: "{") else {
            _ = try lexer.value(text, depth: 2)
            return note(.invalidParams, at: start)
        }
        var seen = MetaKeys()
        if try lexer.openObject(text) {
            repeat { try metaMember(text, &seen) } while try lexer.moreMembers(text)
        }
        envelope.meta = JSONSpan(start: start, end: lexer.position)
    }

    private mutating func metaMember(_ text: RawSpan, _ seen: inout MetaKeys) throws(ScanError) {
        let token = try lexer.key(text)
        let found: MetaKeys?
        if token.hasEscapes {
            let plain = JSONString.unescaped(token.content, in: text)
            found = metaKey(0..<plain.count, plain.span.bytes)
        } else {
            found = metaKey(token.content, text)
        }
        guard let key = found else {
            _ = try lexer.value(text, depth: 3)
            return
        }
        if seen.contains(key) {
            note(.duplicateKey, at: token.span.start)
            _ = try lexer.value(text, depth: 3)
            return
        }
        seen.insert(key)
        switch key {
        case .protocolVersion: envelope.protocolVersion = try string(text, depth: 3).map { JSONString.string($0, text) }
        case .logLevel: envelope.logLevel = try string(text, depth: 3).map { JSONString.string($0, text) }
        case .clientCapabilities: envelope.clientCapabilities = try object(text, depth: 3)
        case .clientInfo: envelope.clientInfo = try object(text, depth: 3)
        case .progressToken: envelope.progressToken = try identifier(text, depth: 3)
        case .subscriptionID: envelope.subscriptionID = try identifier(text, depth: 3)
        default: envelope.traceparent = try string(text, depth: 3)?.span
        }
    }

    private mutating func metaKey(_ range: Range<Int>, _ text: RawSpan) -> MetaKeys? {
        if text.matches(range, "progressToken") { return .progressToken }
        if text.matches(range, "traceparent") { return .traceparent }
        guard text.starts(range, with: "io.modelcontextprotocol/") else { return nil }
        envelope.hasReservedMeta = true
        if text.matches(range, "io.modelcontextprotocol/protocolVersion") { return .protocolVersion }
        if text.matches(range, "io.modelcontextprotocol/clientCapabilities") { return .clientCapabilities }
        if text.matches(range, "io.modelcontextprotocol/clientInfo") { return .clientInfo }
        if text.matches(range, "io.modelcontextprotocol/logLevel") { return .logLevel }
        if text.matches(range, "io.modelcontextprotocol/subscriptionId") { return .subscriptionID }
        return nil
    }
}

extension RawSpan {
    /// Whether `range` equals `name` when letter case is ignored as Unicode's simple folding does (Go's `encoding/json` reads keys so).
    func matchesFolded(_ range: Range<Int>, _ name: StaticString) -> Bool {
        // Two letters beyond ASCII fold into it and take two and three bytes.
        guard range.count >= name.utf8CodeUnitCount, range.count <= 3 * name.utf8CodeUnitCount else { return false }
        var offset = range.lowerBound
        for code in UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount) {
            guard offset < range.upperBound else { return false }
            var byte = self.byte(offset)
            if byte == 0xC5, offset + 1 < range.upperBound, self.byte(offset + 1) == 0xBF {
                byte = UInt8(ascii: "s")
                offset += 1
            } else if byte == 0xE2, offset + 2 < range.upperBound, self.byte(offset + 1) == 0x84, self.byte(offset + 2) == 0xAA {
                byte = UInt8(ascii: "k")
                offset += 2
            }
            if lowercased(byte) != lowercased(code) { return false }
            offset += 1
        }
        return offset == range.upperBound
    }

    private func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}

/// The protocol's method names as literals, so that reading one does not allocate.
enum MethodNames {
    static func known(_ token: StringToken, _ text: RawSpan) -> String? {
        guard !token.hasEscapes else { return nil }
        let range = token.content
        // Up to 15 bytes fit a Swift string without allocation; only longer ones are worth a look.
        switch range.count {
        case 16 where text.matches(range, "logging/setLevel"): return "logging/setLevel"
        case 19 where text.matches(range, "completion/complete"): return "completion/complete"
        case 19 where text.matches(range, "resources/subscribe"): return "resources/subscribe"
        case 20 where text.matches(range, "subscriptions/listen"): return "subscriptions/listen"
        case 21 where text.matches(range, "notifications/message"): return "notifications/message"
        case 22 where text.matches(range, "notifications/progress"): return "notifications/progress"
        case 23 where text.matches(range, "notifications/cancelled"): return "notifications/cancelled"
        case 24 where text.matches(range, "resources/templates/list"): return "resources/templates/list"
        default: return nil
        }
    }
}
