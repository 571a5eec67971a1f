import Sealing

/// The credentials that one child runs with. Values appear in no description and no error.
public struct CredentialSet: Sendable, Equatable {
    /// Bytes of a sealed body at most.
    public static let maximumSize = 256 * 1_024
    /// Bytes of one environment variable, header or file at most.
    public static let maximumValueSize = 64 * 1_024

    public var environment: [String: String]
    public var headers: [String: String]
    /// Plain file names in the child's private directory, with their content.
    public var files: [String: String]
    /// Names this content without telling it; another fingerprint is another child.
    public var fingerprint: String

    public init(environment: [String: String] = [:], headers: [String: String] = [:], files: [String: String] = [:], fingerprint: String) {
        self.environment = environment
        self.headers = headers
        self.files = files
        self.fingerprint = fingerprint
    }

    /// Makes the fingerprint itself: a MAC under `key`, so that nobody without it can try values.
    public init(
        environment: [String: String] = [:], headers: [String: String] = [:], files: [String: String] = [:], fingerprintKey key: HMACKey
    ) throws(SealingError) {
        self.init(environment: environment, headers: headers, files: files, fingerprint: "")
        guard !isEmpty else { return }
        var message: [UInt8] = []
        for (label, values) in [("env", environment), ("headers", headers), ("files", files)] {
            message += keyInfo(label, [])
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                for text in [name, value] {
                    withUnsafeBytes(of: UInt64(text.utf8.count).bigEndian) { message.append(contentsOf: $0) }
                    message.append(contentsOf: text.utf8)
                }
            }
        }
        fingerprint = Base64URL.encode(Array(try key.tag(of: message).prefix(16)))
    }

    /// Whether there is nothing to hand over; the fingerprint of such a set is empty.
    public var isEmpty: Bool { environment.isEmpty && headers.isEmpty && files.isEmpty }

    /// The values, for masking them in a child's output and in audit rows.
    public var secretValues: [String] { Array(environment.values) + Array(headers.values) + Array(files.values) }

    /// Checks names, sizes and characters; also to be asked when an admin saves a credential.
    public func validate() throws(DoorError) {
        for (name, value) in environment {
            guard Self.isVariable(name) else { throw .malformed(field: "env") }
            try Self.check(value, field: "env.\(name)") { $0 != 0 }
        }
        for (name, value) in headers {
            guard Self.isToken(name) else { throw .malformed(field: "headers") }
            try Self.check(value, field: "headers.\(name)") { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        }
        for (name, value) in files {
            guard Self.isFileName(name) else { throw .malformed(field: "files") }
            try Self.check(value, field: "files.\(name)") { _ in true }
        }
        guard fingerprint.utf8.count <= 64, fingerprint.utf8.allSatisfy({ Base64URL.isCharacter($0) }) else {
            throw .malformed(field: "fingerprint")
        }
    }

    private static func check(_ value: String, field: String, allowed: (UInt8) -> Bool) throws(DoorError) {
        guard value.utf8.count <= maximumValueSize else { throw .tooLarge(field: field, limit: maximumValueSize) }
        guard value.utf8.allSatisfy(allowed) else { throw .malformed(field: field) }
    }

    private static func isVariable(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 128, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
        return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
    }

    private static func isToken(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 128 && name.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }
    }

    private static func isFileName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 128, name != ".", name != ".." else { return false }
        return name.utf8.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        default: false
        }
    }
}

extension CredentialSet: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "CredentialSet(\(environment.count) variables, \(headers.count) headers, \(files.count) files, fingerprint \(fingerprint))"
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
