import Glibc
import JSONReference

/// libFuzzer's entry: one input. It ends the process where our readers and the reference differ; scripts/fuzz builds and runs it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let difference = Agreement.difference(bytes) {
        let text = Array("DIFFERENCE: \(difference)\n".utf8) + bytes + [0x0A]
        _ = write(2, text, text.count)
        abort()
    }
    return 0
}
