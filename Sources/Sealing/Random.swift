import COpenSSL
import Glibc

/// `count` bytes of libcrypto's generator, seeded by the kernel.
public func randomBytes(_ count: Int) throws(SealingError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard count > 0 else { return bytes }
    let done = bytes.withUnsafeMutableBufferPointer { RAND_bytes($0.baseAddress, Int32(clamping: $0.count)) }
    guard done == 1, count <= Int(Int32.max) else { throw .library }
    return bytes
}

/// Whether both hold the same bytes, in a time that depends on the length alone.
public func constantTimeEquals(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard left.count > 0 else { return true }
    return CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
}

/// Whether both hold the same bytes, in a time that depends on the length alone.
public func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBytes { l in right.withUnsafeBytes { r in constantTimeEquals(l, r) } }
}

/// The wall clock, for what leaves the process: token times, ULIDs, rows. Never for time-outs.
public enum WallClock {
    /// Seconds since 1970.
    public static func seconds() -> Int64 { Int64(now().tv_sec) }

    /// Milliseconds since 1970.
    public static func milliseconds() -> Int64 {
        let time = now()
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func now() -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time
    }
}
