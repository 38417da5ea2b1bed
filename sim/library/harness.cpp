// C interface to the Verilated core with its memory: what host/devices/rtl_model.py calls through ctypes.
//
// The core's outputs come from registers and do not depend on inputs of the same cycle.  So the
// handshakes of a cycle are known as soon as the inputs are set, and one evaluation per cycle, of
// the rising edge, is enough.  With waves there are two, and the first one checks this; also with a
// recorder, which reads internal signals that depend on the inputs.
//
// The loop allocates nothing.

#include <sys/mman.h>

#include <cstdint>
#include <memory>

#include PENSTOCK_TOP
#include "Vaccel.h"
#include "memory.h"
#include "verilated.h"
#ifdef PENSTOCK_CLOCK
#include "Vaccel___024root.h"
#endif
#ifdef PENSTOCK_RECORD
#include "recorder.h"
#endif
#ifdef VM_TRACE
#include "verilated_fst_c.h"
#endif

double sc_time_stamp() { return 0; }

namespace penstock {

#define READ_PINS(top, port)                                                               \
    ReadPins {                                                                             \
        (top).PIN(port, araddr), (top).PIN(port, arlen), (top).PIN(port, arsize),          \
            (top).PIN(port, arburst), (top).PIN(port, arvalid), (top).PIN(port, arready),  \
            (top).PIN(port, rdata), (top).PIN(port, rresp), (top).PIN(port, rlast),        \
            (top).PIN(port, rvalid), (top).PIN(port, rready)                               \
    }

#define WRITE_PINS(top, port)                                                              \
    WritePins {                                                                            \
        (top).PIN(port, awaddr), (top).PIN(port, awlen), (top).PIN(port, awsize),          \
            (top).PIN(port, awburst), (top).PIN(port, awvalid), (top).PIN(port, awready),  \
            (top).PIN(port, wdata), (top).PIN(port, wstrb), (top).PIN(port, wlast),        \
            (top).PIN(port, wvalid), (top).PIN(port, wready), (top).PIN(port, bresp),      \
            (top).PIN(port, bvalid), (top).PIN(port, bready)                               \
    }

class Model {
public:
    explicit Model(uint64_t memory_bytes)
        : context_(new VerilatedContext),
          top_(new Vaccel(context_.get(), "accel")),
          desc_("desc", READ_PINS(*top_, PORT_DESC)),
          wgt_("wgt", READ_PINS(*top_, PORT_WGT)),
          act_("act", READ_PINS(*top_, PORT_ACT)),
          out_("out", WRITE_PINS(*top_, PORT_OUT)),
          registers_(*top_),
          rules_(*top_) {
        // Mapped, not allocated: pages cost nothing until they are touched, and read as zero.
        void* bytes = mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (bytes == MAP_FAILED) return;
        store_.bytes = static_cast<uint8_t*>(bytes);
        store_.size = memory_bytes;
        reset();
    }

    ~Model() {
        trace(nullptr);
        top_->final();
        if (store_.bytes) munmap(store_.bytes, store_.size);
    }

    Store& store() { return store_; }

    void reset() {
        desc_.reset();
        wgt_.reset();
        act_.reset();
        out_.reset();
        registers_.reset();
        rules_.reset();
        store_.violation[0] = 0;
        turn_ = 0;
        top_->rst = 1;
        for (int i = 0; i < 4; ++i) edge();
        top_->rst = 0;
        // The chip's reset synchroniser releases the reset later.
        for (int i = 0; i < 4; ++i) edge();
    }

    void fault(unsigned port, Fault kind, uint64_t beat) {
        const FaultPlan plan{kind, beat};
        switch (port) {
            case 0: desc_.fault = plan; desc_.beats = 0; break;
            case 1: wgt_.fault = plan; wgt_.beats = 0; break;
            case 2: act_.fault = plan; act_.beats = 0; break;
            default: out_.fault = plan; out_.beats = 0; break;
        }
    }

    // Run until the interrupt is up, or for `limit` cycles; return the cycles it took.
    uint64_t run(uint64_t limit) {
        const uint64_t begin = store_.now;
        const uint64_t end = begin + limit;
        while (store_.now < end && !top_->irq) cycle();
        return store_.now - begin;
    }

    void profile(uint32_t latency, uint32_t stall_per_mille, uint64_t seed, uint32_t jitter,
                 uint32_t refuse_per_mille) {
        store_.latency = latency;
        store_.stall_limit = limit(stall_per_mille);
        store_.random = seed;
        store_.jitter = jitter;
        store_.refuse_limit = limit(refuse_per_mille);
        store_.noise = ~seed;
        turn_ = 0;
    }

    bool irq() const { return top_->irq; }

    // Return the response code, or -1 if none came within `limit` cycles.
    int write(uint32_t address, uint32_t value, unsigned limit) {
        registers_.begin_write(address, value);
        return access(limit);
    }

    int read(uint32_t address, uint32_t* value, unsigned limit) {
        registers_.begin_read(address);
        const int response = access(limit);
        if (response >= 0) *value = registers_.value;
        return response;
    }

    // Begin a trace into `path`, or end the one that runs if it is null; false: built without.
    bool trace(const char* path) {
#ifdef VM_TRACE
        if (fst_) {
            fst_->close();
            fst_.reset();
        }
        if (path) {
            context_->traceEverOn(true);
            fst_.reset(new VerilatedFstC);
            top_->trace(fst_.get(), 99);
            fst_->open(path);
        }
        return true;
#else
        return path == nullptr;
#endif
    }

#ifdef PENSTOCK_RECORD
    const Recorder& recorder() const { return recorder_; }
#endif

#ifdef PENSTOCK_BRANCHES
    // 32 in each word, the first one in the lowest bit.
    const void* branches(uint64_t* words) const {
        *words = sizeof(top_->branches) / sizeof(uint32_t);
        return &top_->branches;
    }
#endif

private:
    static uint32_t limit(uint32_t per_mille) {
        return static_cast<uint32_t>(per_mille * ((1ull << 32) / 1000));
    }

    int access(unsigned limit) {
        for (unsigned i = 0; i < limit && registers_.response < 0; ++i) cycle();
        const int response = registers_.response;
        registers_.end();
        return response;
    }

    void cycle() {
        settle();
        edge_after_settle();
    }

    // Set the inputs of this cycle.
    void settle() {
        desc_.drive(store_);
        wgt_.drive(store_);
        act_.drive(store_);
        out_.drive(store_);
        registers_.drive(store_);
        rules_.drive();
        if (!store_.stalled()) arbitrate();
#ifdef VM_TRACE
        const uint64_t before = outputs();
        fall();
        if (outputs() != before) {
            store_.report("core", "an output depends on an input of the same cycle", 0, 0);
        }
#elif defined(PENSTOCK_RECORD)
        fall();
#endif
#ifdef PENSTOCK_RECORD
        recorder_.sample(*top_);
#endif
    }

    void edge_after_settle() {
        desc_.sample(store_);
        wgt_.sample(store_);
        act_.sample(store_);
        out_.sample(store_);
        registers_.sample(store_);
        rules_.sample(store_);
        rise();
        desc_.advance();
        wgt_.advance();
        act_.advance();
        out_.advance();
        registers_.advance();
        ++store_.now;
    }

    void edge() {
        fall();
        rise();
        ++store_.now;
    }

    void fall() {
        top_->clk = 0;
        top_->eval();
        dump(0);
    }

    void rise() {
#if !defined(VM_TRACE) && !defined(PENSTOCK_RECORD)
#ifdef PENSTOCK_CLOCK
        // The value that Verilator compares the clock with to detect an edge: no evaluation of the
        // low half.
        top_->rootp->PENSTOCK_CLOCK = 0;
#else
        fall();
#endif
#endif
        top_->clk = 1;
        top_->eval();
        dump(1);
    }

#ifdef VM_TRACE
    // All outputs that take part in a handshake.
    uint64_t outputs() const {
        const uint8_t bits[] = {
            top_->PIN(PORT_DESC, arvalid), top_->PIN(PORT_DESC, rready), top_->PIN(PORT_WGT, arvalid),
            top_->PIN(PORT_WGT, rready),   top_->PIN(PORT_ACT, arvalid), top_->PIN(PORT_ACT, rready),
            top_->PIN(PORT_OUT, awvalid),  top_->PIN(PORT_OUT, wvalid),  top_->PIN(PORT_OUT, wlast),
            top_->PIN(PORT_OUT, bready),  top_->irq};
        uint64_t result = 0;
        for (uint8_t bit : bits) result = result << 1 | bit;
        const uint64_t payload = uint64_t{top_->PIN(PORT_DESC, araddr)} + top_->PIN(PORT_WGT, araddr) +
                                 top_->PIN(PORT_ACT, araddr) + top_->PIN(PORT_OUT, awaddr) +
                                 top_->PIN(PORT_OUT, wdata);
        return (result << 5 | registers_.outputs()) + (payload << 17);
    }
#endif

    void arbitrate() {
        for (unsigned i = 1; i <= 4; ++i) {
            const unsigned port = (turn_ + i) & 3;
            if (offer(port)) {
                turn_ = port;
                return;
            }
        }
    }

    bool offer(unsigned port) {
        switch (port) {
            case 0: return grant(desc_);
            case 1: return grant(wgt_);
            case 2: return grant(act_);
            default: return grant(out_);
        }
    }

    template <typename Port>
    bool grant(Port& port) {
        if (!port.wants(store_)) return false;
        port.grant(store_);
        return true;
    }

    void dump(unsigned half) {
#ifdef VM_TRACE
        if (fst_) fst_->dump(2 * store_.now + half);
#else
        (void)half;
#endif
    }

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vaccel> top_;
#ifdef VM_TRACE
    std::unique_ptr<VerilatedFstC> fst_;
#endif
#ifdef PENSTOCK_RECORD
    Recorder recorder_;
#endif
    Store store_;
    ReadPort desc_;
    ReadPort wgt_;
    ReadPort act_;
    WritePort out_;
    Registers registers_;
    Rules rules_;
    unsigned turn_ = 0;
};

}  // namespace penstock

using penstock::Model;

extern "C" {

// Null if the memory cannot be mapped.
Model* penstock_open(uint64_t memory_bytes) {
    Model* model = new Model(memory_bytes);
    if (model->store().bytes) return model;
    delete model;
    return nullptr;
}

void penstock_close(Model* model) { delete model; }

uint8_t* penstock_memory(Model* model) { return model->store().bytes; }

void penstock_profile(Model* model, uint32_t latency, uint32_t stall_per_mille, uint64_t seed,
                      uint32_t jitter, uint32_t refuse_per_mille) {
    model->profile(latency, stall_per_mille, seed, jitter, refuse_per_mille);
}

// Writes may go to these ranges only, begin and end of each; with none, anywhere.
void penstock_writable(Model* model, const uint64_t* ranges, uint32_t count) {
    auto& writable = model->store().writable;
    writable.clear();
    for (uint32_t i = 0; i < count; ++i) writable.push_back({ranges[2 * i], ranges[2 * i + 1]});
}

void penstock_fault(Model* model, uint32_t port, uint32_t kind, uint64_t beat) {
    model->fault(port, static_cast<penstock::Fault>(kind), beat);
}

// Hard reset of the core and of the memory's queues; the contents of the memory stay.
void penstock_reset(Model* model) { model->reset(); }

int penstock_write(Model* model, uint32_t address, uint32_t value, uint32_t limit) {
    return model->write(address, value, limit);
}

int penstock_read(Model* model, uint32_t address, uint32_t* value, uint32_t limit) {
    return model->read(address, value, limit);
}

uint64_t penstock_run(Model* model, uint64_t limit) { return model->run(limit); }

int penstock_irq(Model* model) { return model->irq(); }

uint64_t penstock_cycles(Model* model) { return model->store().now; }

// The cycle in which memory last moved a beat or acknowledged a write.
uint64_t penstock_moved(Model* model) { return model->store().moved; }

// The first breach of the AXI rules, or an empty string.
const char* penstock_violation(Model* model) { return model->store().violation; }

int penstock_trace(Model* model, const char* path) { return model->trace(path); }

#ifdef PENSTOCK_RECORD
// Valid until the next cycle.
const void* penstock_events(Model* model, uint64_t* count) {
    *count = model->recorder().events.size();
    return model->recorder().events.data();
}

const void* penstock_samples(Model* model, uint64_t* count) {
    *count = model->recorder().samples.size();
    return model->recorder().samples.data();
}
#endif

#ifdef PENSTOCK_BRANCHES
// Valid until the next cycle.
const void* penstock_branches(Model* model, uint64_t* words) { return model->branches(words); }
#endif
}
