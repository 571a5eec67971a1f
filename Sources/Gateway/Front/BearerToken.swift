import NIOCore
import Sealing

/// The bearer token of a request: from the `Authorization` header alone, never from the query or a cookie.
enum BearerToken: Equatable {
    case missing
    /// Not a bearer token, or more than one header.
    case malformed
    case digest(TokenDigest)

    static let maximumLength = 512

    init(authorization values: [String], hash: SHA256) {
        guard let value = values.first else {
            self = .missing
            return
        }
        let bytes = Array(value.utf8)
        let scheme = Array("bearer".utf8)
        guard values.count == 1, bytes.count > scheme.count + 1, zip(bytes, scheme).allSatisfy({ $0 | 0x20 == $1 }) else {
            self = .malformed
            return
        }
        let rest = bytes[scheme.count...]
        let token = rest.drop { $0 == 0x20 }
        guard token.startIndex > scheme.count, (1...Self.maximumLength).contains(token.count), token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            self = .malformed
            return
        }
        do {
            try hash.update(Array(token))
            self = .digest(TokenDigest(try hash.finish()))
        } catch {
            self = .malformed
        }
    }
}
