import CLinux
import Glibc

/// Calls `body` with a NULL-terminated array of C strings.
public func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    var pointers = strings.map { strdup($0) }
    pointers.append(nil)
    defer {
        for case .some(let pointer) in pointers {
            // May have been a credential.
            clinux_wipe(pointer, strlen(pointer))
            free(pointer)
        }
    }
    return pointers.withUnsafeBufferPointer { pointers in
        guard let base = pointers.baseAddress else { preconditionFailure("an array that holds nil has an address") }
        return body(base)
    }
}
