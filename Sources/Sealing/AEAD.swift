import COpenSSL

/// AES-256-GCM under one key, both directions, with reused contexts.
///
/// A sealed value is `nonce (12) ‖ ciphertext ‖ tag (16)`; nonces are random, so one key seals at most 2³² values.
/// Confined to one thread or loop, as its contexts are.
public final class AEADKey {
    /// Bytes of a key.
    public static let keySize = 32
    /// Bytes that sealing adds.
    public static let overhead = nonceSize + tagSize

    /// Bytes at the start of a sealed value that no other has.
    public static let nonceSize = 12
    static let tagSize = 16

    private let sealing: OpaquePointer
    private let opening: OpaquePointer

    /// - Throws: ``SealingError/size`` for a key of another length.
    public init(_ key: Secret) throws(SealingError) {
        guard key.count == Self.keySize else { throw .size }
        guard let cipher = Algorithms.aes256gcm, let sealing = EVP_CIPHER_CTX_new() else { throw .library }
        guard let opening = EVP_CIPHER_CTX_new() else {
            EVP_CIPHER_CTX_free(sealing)
            throw .library
        }
        self.sealing = sealing
        self.opening = opening
        let done = key.withBytes { bytes in
            EVP_EncryptInit_ex2(sealing, cipher, address(of: bytes), nil, nil) == 1
                && EVP_DecryptInit_ex2(opening, cipher, address(of: bytes), nil, nil) == 1
        }
        guard done else { throw .library }
    }

    deinit {
        // Freeing a context wipes its key schedule.
        EVP_CIPHER_CTX_free(sealing)
        EVP_CIPHER_CTX_free(opening)
    }

    /// Encrypts `plaintext`; `aad` is authenticated with it and must be given again to open.
    public func seal(_ plaintext: [UInt8], aad: [UInt8]) throws(SealingError) -> [UInt8] {
        try seal(plaintext, aad: aad, nonce: try randomBytes(Self.nonceSize))
    }

    /// With a given nonce, for test vectors alone: a repeated nonce gives the key away.
    func seal(_ plaintext: [UInt8], aad: [UInt8], nonce: [UInt8]) throws(SealingError) -> [UInt8] {
        guard plaintext.count <= Int(Int32.max) - Self.overhead, aad.count <= Int(Int32.max), nonce.count == Self.nonceSize else {
            throw .size
        }
        let sealing = sealing
        var done = false
        let sealed = [UInt8](unsafeUninitializedCapacity: plaintext.count + Self.overhead) { output, count in
            guard let start = output.baseAddress else { return }
            var length: Int32 = 0
            start.update(from: nonce, count: Self.nonceSize)
            let body = start + Self.nonceSize
            guard EVP_EncryptInit_ex2(sealing, nil, nil, nonce, nil) == 1,
                aad.isEmpty || EVP_EncryptUpdate(sealing, nil, &length, aad, Int32(aad.count)) == 1,
                plaintext.isEmpty || EVP_EncryptUpdate(sealing, body, &length, plaintext, Int32(plaintext.count)) == 1,
                EVP_EncryptFinal_ex(sealing, body + plaintext.count, &length) == 1,
                EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagSize), body + plaintext.count) == 1
            else { return }
            count = plaintext.count + Self.overhead
            done = true
        }
        guard done else { throw .library }
        return sealed
    }

    /// Decrypts what ``seal(_:aad:)`` made under the same key and `aad`.
    ///
    /// - Throws: ``SealingError/malformed`` when it is too short, ``SealingError/authentication`` when it does not open.
    public func open(_ sealed: [UInt8], aad: [UInt8]) throws(SealingError) -> [UInt8] {
        guard sealed.count >= Self.overhead else { throw .malformed }
        guard sealed.count <= Int(Int32.max), aad.count <= Int(Int32.max) else { throw .size }
        let size = sealed.count - Self.overhead
        let opening = opening
        var failure: SealingError? = .library
        let plaintext = [UInt8](unsafeUninitializedCapacity: size + 1) { output, count in
            sealed.withUnsafeBufferPointer { input in
                guard let start = input.baseAddress, let out = output.baseAddress else { return }
                let body = start + Self.nonceSize
                var length: Int32 = 0
                guard EVP_DecryptInit_ex2(opening, nil, nil, start, nil) == 1,
                    aad.isEmpty || EVP_DecryptUpdate(opening, nil, &length, aad, Int32(aad.count)) == 1,
                    size == 0 || EVP_DecryptUpdate(opening, out, &length, body, Int32(size)) == 1,
                    EVP_CIPHER_CTX_ctrl(
                        opening, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagSize), UnsafeMutableRawPointer(mutating: body + size)) == 1
                else { return }
                guard EVP_DecryptFinal_ex(opening, out + size, &length) == 1 else {
                    OPENSSL_cleanse(out, size)
                    failure = .authentication
                    return
                }
                count = size
                failure = nil
            }
        }
        if let failure { throw failure }
        return plaintext
    }
}
