import COpenSSL

/// HMAC-SHA256 under one key. The context is set up once and reused, so that a short message costs about 0.4 µs.
///
/// Confined to one thread or loop, as its context is.
public final class HMACKey {
    /// Bytes of a tag.
    public static let tagSize = 32

    private let context: OpaquePointer

    /// - Throws: ``SealingError/library``.
    public init(_ key: Secret) throws(SealingError) {
        guard let mac = Algorithms.hmac, let context = EVP_MAC_CTX_new(mac) else { throw .library }
        var digest: [CChar] = Array("SHA256".utf8CString)
        let done = digest.withUnsafeMutableBufferPointer { name in
            let parameters = [
                OSSL_PARAM_construct_utf8_string(Parameter.digest, name.baseAddress, 0), OSSL_PARAM_construct_end(),
            ]
            return key.withBytes { EVP_MAC_init(context, address(of: $0), $0.count, parameters) }
        }
        guard done == 1 else {
            EVP_MAC_CTX_free(context)
            throw .library
        }
        self.context = context
    }

    deinit { EVP_MAC_CTX_free(context) }

    /// Writes the tag of `message` into `tag`, which holds at least ``tagSize`` bytes.
    public func authenticate(_ message: UnsafeRawBufferPointer, into tag: UnsafeMutableRawBufferPointer) throws(SealingError) {
        guard tag.count >= Self.tagSize else { throw .size }
        var written = 0
        // A NULL key keeps the one from `init` and resets the running state.
        guard EVP_MAC_init(context, nil, 0, nil) == 1,
            EVP_MAC_update(context, address(of: message), message.count) == 1,
            EVP_MAC_final(context, tag.baseAddress?.assumingMemoryBound(to: UInt8.self), &written, tag.count) == 1,
            written == Self.tagSize
        else { throw .library }
    }

    /// The tag of `message`.
    public func tag(of message: [UInt8]) throws(SealingError) -> [UInt8] {
        var tag = [UInt8](repeating: 0, count: Self.tagSize)
        var failure: SealingError?
        tag.withUnsafeMutableBytes { into in
            message.withUnsafeBytes { from in
                do throws(SealingError) { try authenticate(from, into: into) } catch { failure = error }
            }
        }
        if let failure { throw failure }
        return tag
    }

    /// Whether `tag` is the tag of `message`; constant time. False also when libcrypto fails: nothing is valid then.
    public func isValid(tag: UnsafeRawBufferPointer, of message: UnsafeRawBufferPointer) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.tagSize, alignment: 8) { expected in
            do throws(SealingError) { try authenticate(message, into: expected) } catch { return false }
            return constantTimeEquals(UnsafeRawBufferPointer(expected), tag)
        }
    }
}

/// HKDF-SHA256 (RFC 5869), extract and expand.
///
/// - Throws: ``SealingError/size`` for an output above 255 blocks, ``SealingError/library``.
public func hkdf(_ key: Secret, salt: [UInt8] = [], info: [UInt8], count: Int = 32) throws(SealingError) -> Secret {
    guard count > 0, count <= 255 * 32 else { throw .size }
    guard let kdf = Algorithms.hkdf, let context = EVP_KDF_CTX_new(kdf) else { throw .library }
    defer { EVP_KDF_CTX_free(context) }
    var digest: [CChar] = Array("SHA256".utf8CString)
    var salt = salt
    var info = info
    var output = [UInt8](repeating: 0, count: count)
    defer { output.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
    let done = digest.withUnsafeMutableBufferPointer { digest in
        salt.withUnsafeMutableBytes { salt in
            info.withUnsafeMutableBytes { info in
                key.withBytes { key in
                    var parameters = [
                        OSSL_PARAM_construct_utf8_string(Parameter.digest, digest.baseAddress, 0),
                        OSSL_PARAM_construct_octet_string(Parameter.key, UnsafeMutableRawPointer(mutating: key.baseAddress), key.count),
                    ]
                    // An absent salt is one of zeros; libcrypto wants the parameter left out then.
                    if salt.count > 0 {
                        parameters.append(OSSL_PARAM_construct_octet_string(Parameter.salt, salt.baseAddress, salt.count))
                    }
                    if info.count > 0 {
                        parameters.append(OSSL_PARAM_construct_octet_string(Parameter.info, info.baseAddress, info.count))
                    }
                    parameters.append(OSSL_PARAM_construct_end())
                    return output.withUnsafeMutableBufferPointer { EVP_KDF_derive(context, $0.baseAddress, $0.count, parameters) }
                }
            }
        }
    }
    guard done == 1 else { throw .library }
    return Secret(output)
}
