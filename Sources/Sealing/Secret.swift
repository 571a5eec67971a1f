import COpenSSL

/// Secret bytes: kept in one place, compared in constant time, overwritten when the last reference goes, and never
/// printed.
///
/// `@unchecked Sendable`: the memory is written in `init` and `deinit` only.
public final class Secret: @unchecked Sendable {
    private let storage: UnsafeMutableRawBufferPointer

    /// Copies `bytes`.
    public init(copying bytes: UnsafeRawBufferPointer) {
        storage = .allocate(byteCount: max(bytes.count, 1), alignment: 8)
        count = bytes.count
        if bytes.count > 0 { storage.copyMemory(from: bytes) }
    }

    /// Copies `bytes`; the caller's array stays as it is.
    public init(_ bytes: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 8)
        bytes.withUnsafeBytes { source in
            if source.count > 0 { memory.copyMemory(from: source) }
        }
        storage = memory
        count = bytes.count
    }

    deinit {
        OPENSSL_cleanse(storage.baseAddress, storage.count)
        storage.deallocate()
    }

    /// How many bytes.
    public let count: Int

    /// Reads the bytes in place.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(UnsafeRawBufferPointer(start: storage.baseAddress, count: count))
    }

    /// A copy, which is not wiped: for encoding into something that is sealed next.
    public var copy: [UInt8] { withBytes { Array($0) } }
}

extension Secret: Equatable {
    /// Constant time in the content.
    public static func == (left: Secret, right: Secret) -> Bool {
        left.withBytes { l in right.withBytes { r in constantTimeEquals(l, r) } }
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "Secret(\(count) bytes)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
