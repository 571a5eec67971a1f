import NIOHTTP1

/// What we refuse in a head that NIO's decoder lets through, and what it leaves to be done.
enum HeadRules {
    /// The head without white space after its values, which is no part of them (RFC 9110 §5.5); the decoder takes only that before.
    static func trimmed(_ head: HTTPRequestHead) -> HTTPRequestHead {
        guard head.headers.contains(where: { ASCII.endsBlank($0.value) }) else { return head }
        var trimmed = head
        trimmed.headers = HTTPHeaders(
            head.headers.map { field in
                let end = field.value.utf8.lastIndex { $0 != ASCII.space && $0 != ASCII.tab }
                return (field.name, end.map { String(field.value[...$0]) } ?? "")
            })
        return trimmed
    }

    static func violation(_ head: HTTPRequestHead, limits: HTTPLimits) -> HTTPError? {
        if head.version.major != 1 || head.version.minor > 1 { return .badVersion }
        var bytes = head.uri.utf8.count
        var fields = 0
        var hosts = 0
        for (name, value) in head.headers {
            fields += 1
            bytes += name.utf8.count + value.utf8.count + 4
            // Among others what the decoder leaves of a folded field.
            if !ASCII.areFieldValue(value.utf8) { return .badFieldValue }
            switch name.utf8.count {
            case 4 where ASCII.equal(name, "host"):
                hosts += 1
            case 14 where ASCII.equal(name, "content-length"):
                // The decoder takes lengths that no Int holds.
                if value.utf8.count > 18 || Int(value) == nil { return .badContentLength }
            case 17 where ASCII.equal(name, "transfer-encoding"):
                if value.lowercased() != "chunked" || head.version.minor == 0 { return .badTransferEncoding }
            default:
                break
            }
        }
        if fields > limits.fields { return .tooManyFields }
        if bytes > limits.headBytes { return .headTooLarge }
        if hosts > 1 || (hosts == 0 && head.version.minor == 1) { return .badHost }
        if !head.uri.utf8.allSatisfy(ASCII.isVisible) { return .badStartLine }
        return nil
    }
}
